// NumPy's archives, from a file in memory: every array described and read, as numbers, as text and in parts;
// pictures, where they are that. The same for a header alone, which needs no archive around it.
#include "runtime/files/npz.h"

#include <algorithm>

#include "data/records/picture_source.h"
#include "tests/fuzz/entry.h"

namespace {

constexpr std::int64_t most = 1 << 16;  // a few bytes may be unpacked to any number of them

void read_array(const NpzFile& file, const std::string& name) {
    const NpyArray& array = file.description(name);
    require(array.count() >= 0);
    if (array.count() > most || array.bytes() > static_cast<std::uint64_t>(most)) return;
    parse_rubbish([&] { require(std::ssize(file.doubles(name)) == array.count()); });
    parse_rubbish([&] { require(std::ssize(file.floats(name)) == array.count()); });
    parse_rubbish([&] { file.text(name); });
    std::vector<std::byte> half(static_cast<std::size_t>(array.bytes() / 2));
    parse_rubbish([&] { file.read_bytes(name, array.bytes() - half.size(), half); });
    parse_rubbish([&] { file.read_bytes(name, 0, half); });
}

void read_pictures(const std::filesystem::path& path) {
    const auto pictures = open_pictures(path);
    require(pictures->count() >= 1 && pictures->picture_bytes() >= 3);
    if (pictures->picture_bytes() > most) return;
    std::vector<std::uint8_t> planar(static_cast<std::size_t>(pictures->picture_bytes()));
    parse_rubbish([&] { pictures->read(pictures->count() - 1, 1, planar); });
}

void read_header(std::string_view bytes) {
    const std::size_t header_bytes = npy_header_bytes(bytes.substr(0, npy_start_bytes), "rubbish");
    require(header_bytes <= maximum_npy_header);
    const NpyArray array = parse_npy_header(bytes.substr(0, header_bytes), "rubbish");
    require(array.count() >= 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const MemoryFile memory({bytes, size});
    parse_rubbish([&] {
        const NpzFile file(memory.path());
        for (const std::string& name : file.names()) parse_rubbish([&] { read_array(file, name); });
    });
    parse_rubbish([&] { read_pictures(memory.path()); });
    parse_rubbish([&] { read_header({reinterpret_cast<const char*>(bytes), size}); });
    return 0;
}
