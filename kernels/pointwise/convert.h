// Conversions between float and bf16. Moves 6 bytes per element. Only devices store activations in bf16; the
// CPU's versions round weights, and the operands of convolutions.
#pragma once

#include <cstdint>

#include "kernels/common/bf16.h"
#include "kernels/common/stream.h"

namespace cpu {

// y, x [count]; y_i is the bf16 nearest to x_i, halves to even.
void round_to_bf16(bf16* y, const float* x, std::int64_t count);
// The same value, exactly.
void widen_bf16(float* y, const bf16* x, std::int64_t count);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void round_to_bf16(Stream stream, bf16* y, const float* x, std::int64_t count);
void widen_bf16(Stream stream, float* y, const bf16* x, std::int64_t count);

}  // namespace cuda
