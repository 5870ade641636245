#include "data/records/packed.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/files/file_kind.h"

namespace {

constexpr RecordFormat format{packed_image_magic, "packed image file", "image", 2};

// Bytes of an image. Throws Error for invalid sizes and channels.
std::int64_t image_bytes(const std::filesystem::path& path, std::int64_t size, std::int64_t channels) {
    if (size < 1 || size > packed_maximum_size)
        fail("{}: images of size {}, expected 1 to {}", path.string(), size, packed_maximum_size);
    if (channels != 1 && channels != 3) fail("{}: {} channels, expected 1 or 3", path.string(), channels);
    return channels * size * size;
}

}  // namespace

bool is_packed_file(const std::filesystem::path& path) {
    std::array<char, 8> magic{};
    std::ifstream file(path, std::ios::binary);
    return file.read(magic.data(), magic.size()) &&
           format.magic == std::string_view(magic.data(), magic.size());
}

PackedFile::PackedFile(const std::filesystem::path& path)
    : file_(path, format, [&](std::span<const std::uint32_t> fields) {
          const std::int64_t bytes = image_bytes(path, fields[0], fields[1]);
          size_ = static_cast<int>(fields[0]);
          channels_ = static_cast<int>(fields[1]);
          return bytes;
      }) {}

void PackedFile::read_mirrored(std::int64_t i, std::uint8_t* mirrored) const {
    const std::uint8_t* row = pixels(i);
    for (const std::uint8_t* end = row + record_bytes(); row < end; row += size_, mirrored += size_)
        std::reverse_copy(row, row + size_, mirrored);
}

std::vector<std::string> captions_of(const PackedFile& file, std::int64_t i) {
    std::vector<std::string> captions;
    for (std::int64_t k = 0; k < file.captions(i); ++k) captions.emplace_back(file.caption(i, k));
    return captions;
}

PackedWriter::PackedWriter(std::filesystem::path path, int size, int channels,
                           std::vector<std::string> classes)
    : file_(path, format, {static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(channels)},
            image_bytes(path, size, channels), std::move(classes)) {}
