#include "data/images/png_chunks.h"

#include <zlib.h>

#include <cstring>

#include "runtime/base/error.h"

namespace {

using Bytes = std::span<const std::uint8_t>;

// Of a chunk: length and type before what it holds, a checksum behind.
constexpr std::size_t head_bytes = 8, frame_bytes = 12;

}  // namespace

std::uint32_t big_endian_u32(const std::uint8_t* bytes) {
    return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 |
           bytes[3];
}

void check_png_chunks(Bytes png, const std::string& name) {
    std::size_t position = png_magic.size();
    while (true) {
        if (png.size() - position < frame_bytes) fail("{}: truncated PNG", name);
        const std::size_t length = big_endian_u32(&png[position]);
        if (png.size() - position - frame_bytes < length) fail("{}: truncated PNG", name);
        const std::uint8_t* type = &png[position + 4];
        if (crc32_z(0, type, length + 4) != big_endian_u32(type + 4 + length))
            fail("{}: damaged PNG: the chunk at byte {} differs from its checksum", name, position);
        if (std::memcmp(type, "IEND", 4) == 0) return;
        position += length + frame_bytes;
    }
}

Bytes find_png_chunk(Bytes png, std::string_view type) {
    for (std::size_t position = png_magic.size();;) {
        const std::size_t length = big_endian_u32(&png[position]);
        const std::uint8_t* found = &png[position + 4];
        if (std::memcmp(found, type.data(), 4) == 0) return png.subspan(position + head_bytes, length);
        if (std::memcmp(found, "IEND", 4) == 0) return {};
        position += length + frame_bytes;
    }
}
