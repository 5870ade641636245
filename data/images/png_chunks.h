// The chunks of a PNG file (PNG specification, section 5.3).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

inline constexpr std::array<std::uint8_t, 8> png_magic = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

// Four bytes, the highest first.
std::uint32_t big_endian_u32(const std::uint8_t* bytes);

// Throws Error, naming the file, if chunks are cut off or one differs from its checksum, which the decoder
// ignores.
void check_png_chunks(std::span<const std::uint8_t> png, const std::string& name);

// Of a file that check_png_chunks() lets pass: what the first chunk of this type holds, a part of `png`;
// data() is null if there is none.
std::span<const std::uint8_t> find_png_chunk(std::span<const std::uint8_t> png, std::string_view type);
