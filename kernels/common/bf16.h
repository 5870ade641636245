// bfloat16: the upper half of a float. 8 bits of significand, the exponent range of a float; half the memory
// and, on tensor cores, 16 times the speed of float.
//
// Source: Kalamkar et al., "A Study of BFLOAT16 for Deep Learning Training" (2019, arXiv 1905.12322).
#pragma once

#include <bit>
#include <cstdint>

struct bf16 {
    std::uint16_t bits;
};

// The place of a sum of products whose factors are given in fp32 and rounded to bf16 as they are read.
struct Bf16ProductSum {
    float* value;
};

constexpr float to_float(float x) {
    return x;
}
constexpr float to_float(bf16 x) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}

// Rounds to nearest, ties to even; infinities and NaN are kept. The device's instruction (ptx.cuh) gives the
// same result.
constexpr bf16 nearest_bf16(float x) {
    const auto word = std::bit_cast<std::uint32_t>(x);
    if ((word & 0x7FFFFFFFu) > 0x7F800000u) return {0x7FFF};
    return {static_cast<std::uint16_t>((word + 0x7FFFu + ((word >> 16) & 1u)) >> 16)};
}
