// exp in single precision, written without branches or library calls, so that a loop over it becomes vector
// code for the machine's instruction set (a libm call keeps the loop scalar and costs 6 to 14 times as much).
#pragma once

#include <bit>
#include <cstdint>

namespace cpu {

// e^x, relative error below 2e-7 for -87.3 <= x <= 88.3. Below, the result is e^-87.3 (1.2e-38); above,
// e^88.3. x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor polynomial of degree 7, 2^n through the
// exponent bits.
inline float fast_exp(float x) {
    x = x < -87.3f ? -87.3f : x;
    x = x > 88.3f ? 88.3f : x;
    constexpr float to_integer = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
    const float shifted = x * 1.44269504f + to_integer;
    const float n = shifted - to_integer;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const std::int32_t exponent = (std::bit_cast<std::int32_t>(shifted) - 0x4B400000) << 23;
    return std::bit_cast<float>(std::bit_cast<std::int32_t>(p) + exponent);
}

}  // namespace cpu
