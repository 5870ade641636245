// Files of coded pictures, from a file in memory, as they are and with their checksum mended.
#include "data/records/coded_pictures.h"

#include <cstring>

#include "data/records/checksum.h"
#include "tests/fuzz/entry.h"

namespace {

void read_all(std::span<const std::uint8_t> bytes) {
    const MemoryFile memory(bytes);
    parse_rubbish([&] {
        const CodedFile file(memory.path());
        const CodedHeader& header = file.header();
        std::int64_t pictures = 0;
        std::size_t coded = 0;
        for (std::int64_t i = 0; i < header.segments(); ++i) {
            const CodedSegment& segment = file.segment(i);
            pictures += std::ssize(segment.checksums);
            require(std::ssize(segment.codes) <= header.lanes);
            for (const auto code : segment.codes) coded += code.size();
        }
        require(pictures == header.count && coded <= bytes.size());
        for (std::int64_t i = 0; i < header.count; ++i) {
            const std::string name = header.decoded_name(i);
            require(!name.starts_with('/') && !name.starts_with('.'));
            require(name.find("/.") == std::string::npos && name.find('\n') == std::string::npos);
        }
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    read_all({bytes, size});
    if (size < 4) return 0;
    std::vector<std::uint8_t> mended(bytes, bytes + size);
    const std::uint32_t checksum = checksum_of(0, bytes, size - 4);
    std::memcpy(&mended[size - 4], &checksum, sizeof checksum);
    read_all(mended);
    return 0;
}
