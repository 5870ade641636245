#include "data/images/orientation.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "data/images/jpeg_segments.h"
#include "data/images/png_chunks.h"

namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::string_view exif_start("Exif\0\0", 6);

bool starts_with(Bytes bytes, std::string_view start) {
    return bytes.size() >= start.size() && std::memcmp(bytes.data(), start.data(), start.size()) == 0;
}

// EXIF is a TIFF file (TIFF 6.0, section 2): the order of bytes, 42, and the offset of a directory, which
// holds a number of entries of 12 bytes: tag, type, count, value.
class TiffDirectory {
  public:
    explicit TiffDirectory(Bytes tiff) : tiff_(tiff), big_endian_(starts_with(tiff, "MM")) {
        constexpr std::uint64_t header_bytes = 8, magic = 42;
        if (tiff.size() < header_bytes || (!big_endian_ && !starts_with(tiff, "II")) || number(2, 2) != magic)
            return;
        const std::uint64_t start = number(4, 4);
        if (start > tiff.size() - 2) return;
        entries_ = start + 2;
        // As many as there are, whatever the directory says.
        count_ = std::min<std::uint64_t>(number(start, 2), (tiff.size() - entries_) / entry_bytes);
    }

    // The value of the first entry of this tag, if it is a single 16-bit number; 0 otherwise.
    std::uint64_t short_value(std::uint64_t tag) const {
        constexpr std::uint64_t type_short = 3;
        for (std::uint64_t i = 0; i < count_; ++i) {
            const std::uint64_t entry = entries_ + i * entry_bytes;
            if (number(entry, 2) != tag) continue;
            return number(entry + 2, 2) == type_short && number(entry + 4, 4) == 1 ? number(entry + 8, 2) : 0;
        }
        return 0;
    }

  private:
    static constexpr std::uint64_t entry_bytes = 12;

    std::uint64_t number(std::uint64_t start, std::uint64_t bytes) const {
        std::uint64_t value = 0;
        for (std::uint64_t i = 0; i < bytes; ++i)
            value = value << 8 | tiff_[start + (big_endian_ ? i : bytes - 1 - i)];
        return value;
    }

    Bytes tiff_;
    bool big_endian_;
    std::uint64_t entries_ = 0, count_ = 0;
};

}  // namespace

int exif_orientation(Bytes file) {
    constexpr std::uint64_t orientation_tag = 0x0112;
    constexpr std::uint8_t app1 = 0xE1;
    const bool is_png =
        starts_with(file, {reinterpret_cast<const char*>(png_magic.data()), png_magic.size()});
    Bytes exif = is_png ? find_png_chunk(file, "eXIf") : find_jpeg_segment(file, app1, exif_start);
    if (starts_with(exif, exif_start)) exif = exif.subspan(exif_start.size());
    const std::uint64_t value = TiffDirectory(exif).short_value(orientation_tag);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

Image upright(const Image& image, int orientation) {
    if (orientation == 1) return image;
    const bool transposed = orientation >= 5,
               from_right = orientation == 2 || orientation == 3 || orientation >= 7,
               from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    Image shown{
        transposed ? image.height : image.width, transposed ? image.width : image.height, image.channels, {}};
    shown.pixels.reserve(image.pixels.size());
    for (int y = 0; y < shown.height; ++y)
        for (int x = 0; x < shown.width; ++x) {
            int column = transposed ? y : x, row = transposed ? x : y;
            if (from_right) column = image.width - 1 - column;
            if (from_below) row = image.height - 1 - row;
            const auto pixel = image.pixels.begin() +
                               (std::ptrdiff_t{row} * image.width + column) * std::ptrdiff_t{image.channels};
            shown.pixels.insert(shown.pixels.end(), pixel, pixel + image.channels);
        }
    return shown;
}
