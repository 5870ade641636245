// What a JPEG file says about itself before its samples.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

// Goes over the segments of a JPEG file, `bytes` from its first one, and refuses what the decoder
// (stb_image) would not notice or takes for something else: tables too large for it, scans by tables that the
// file does not define, components without a scan, four channels of unknown colours, an end that is missing.
// `name` stands in the message. Throws Error. Source: ITU-T T.81, annex B.
void check_jpeg_segments(std::span<const std::uint8_t> bytes, const std::string& name);

// The first segment of this marker before the samples whose bytes begin with `start`, behind its length; empty
// if there is none.
std::span<const std::uint8_t> find_jpeg_segment(std::span<const std::uint8_t> bytes, std::uint8_t marker,
                                                std::string_view start);
