// Coding a pixel value in place of drawing it: the intervals that a range coder (range_coder.h) gives the 256
// values of a row of logits z, in whole numbers, so that they do not depend on the order of any sum:
//
//   w_v = floor(2^30 e^(z_v - max z))        S_v = sum of w_u over u < v
//   interval of v: from v + floor((2^16 - 256) S_v / S_256) to the same of v + 1
//
// Every value keeps at least one 2^16th, however improbable, so that every picture can be coded. That costs at
// most log2(2^16 / (2^16 - 256)) = 0.0057 bits a value.
//
// Both sides must compute the same logits, bit for bit: the same kernel on the same kind of processor.
#pragma once

#include <cstdint>

#include "kernels/common/range_coder.h"

// What replaces the draws of pixel_sample (pixel_sampler.h) while P pictures of N pixels are coded: values that
// are given, whose intervals are wanted, or values that are decoded. All of one picture's pixels, in the order
// in which they are drawn, share a lane.
struct PixelCode {
    const std::int64_t* pixels = nullptr;  // [draws]: number of each draw's pixel of the P N; null: draws
    std::int64_t picture_pixels = 0;       // N
    const std::uint8_t* given = nullptr;   // [P, N, channels]; null: decoding
    CodeInterval* intervals = nullptr;     // [P, N, channels], of the given values
    CodeLane* lanes = nullptr;             // [P], decoding
    const std::uint8_t* bytes = nullptr;   // [P, 2 N channels], what comes next in the code of each

    constexpr bool on() const { return pixels != nullptr; }
    constexpr bool decodes() const { return given == nullptr; }
    constexpr std::int64_t picture_of(std::int64_t draw) const { return pixels[draw] / picture_pixels; }
    constexpr const std::uint8_t* bytes_of(std::int64_t picture, std::int64_t channels) const {
        return bytes + picture * most_code_bytes * picture_pixels * channels;
    }
};

namespace cpu {

// The interval of `value` for logits [256].
CodeInterval value_interval(const float* logits, std::int32_t value);

// Takes the next value out of a lane, whose bytes behind the state these are.
std::int32_t decode_value(const float* logits, CodeLane& lane, const std::uint8_t* bytes);

}  // namespace cpu
