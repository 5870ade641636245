// PNG files whose chunks' checksums hold, whatever else is wrong with them: a fuzzer would never come upon
// the right checksums and see nothing but the check of them.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <span>
#include <vector>

inline std::vector<std::uint8_t> mended_png(std::span<const std::uint8_t> file) {
    std::vector<std::uint8_t> mended(file.begin(), file.end());
    constexpr std::size_t magic_bytes = 8, frame_bytes = 12;  // of a chunk: length, type, checksum
    std::size_t position = magic_bytes;
    while (position + frame_bytes <= mended.size()) {
        const auto byte = [&](std::size_t i) { return std::size_t{mended[position + i]}; };
        const std::size_t length = byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
        if (length > mended.size() - position - frame_bytes) break;
        const auto checksum = static_cast<std::uint32_t>(crc32_z(0, &mended[position + 4], length + 4));
        for (std::size_t i = 0; i < 4; ++i)
            mended[position + 8 + length + i] = static_cast<std::uint8_t>(checksum >> (24 - 8 * i));
        position += length + frame_bytes;
    }
    return mended;
}
