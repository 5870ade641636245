// Checks of a JPEG file's segments, before decoding.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

// Checks the segments of a JPEG file, `bytes` from its first one, for faults that the decoder (stb_image)
// does not detect or misinterprets: tables too large for it, scans with undefined tables, components without
// a scan, four channels of unknown colours, a missing end. `name` is the file in the message. Throws Error.
// Source: ITU-T T.81, annex B.
void check_jpeg_segments(std::span<const std::uint8_t> bytes, const std::string& name);

// Width and height as the frame's header has them (B.2.2); nothing if `bytes`, which may be a file's start
// alone, do not hold all of it.
struct JpegSides {
    std::uint32_t width, height;
};
std::optional<JpegSides> find_jpeg_sides(std::span<const std::uint8_t> bytes);

// The first segment of this marker before the samples whose bytes begin with `start`, behind its length; empty
// if there is none.
std::span<const std::uint8_t> find_jpeg_segment(std::span<const std::uint8_t> bytes, std::uint8_t marker,
                                                std::string_view start);
