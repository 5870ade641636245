// Codes of tokens beside the values of pixels: patches of either are moved as fp32, in which whole numbers up to
// 2^24 are exact. Each moves 8 bytes per element.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// y, codes [count], from 0 to 2^24.
void codes_to_float(float* y, const std::int32_t* codes, std::int64_t count);
// The inverse; x holds whole numbers.
void float_to_codes(std::int32_t* codes, const float* x, std::int64_t count);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void codes_to_float(Stream stream, float* y, const std::int32_t* codes, std::int64_t count);
void float_to_codes(Stream stream, std::int32_t* codes, const float* x, std::int64_t count);

}  // namespace cuda
