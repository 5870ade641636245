// Mean of a map over its positions, channels last: x [B, P, C] -> y [B, C].
//
//   forward    y[b, c] = sum_p x[b, p, c] / P
//   backward   dx[b, p, c] = dy[b, c] / P
//
// Sums in float, in the order of the positions. No aliasing.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// Moves 4 bytes per element of x, 1 operation.
void position_mean_forward(float* y, const float* x, std::int64_t B, std::int64_t P, std::int64_t C);
// dx is overwritten. Moves 4 bytes per element of dx.
void position_mean_backward(float* dx, const float* dy, std::int64_t B, std::int64_t P, std::int64_t C);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h. Fewer than 2^31 positions.
template <class T>
void position_mean_forward(Stream stream, T* y, const T* x, std::int64_t B, std::int64_t P, std::int64_t C);
template <class T>
void position_mean_backward(Stream stream, T* dx, const T* dy, std::int64_t B, std::int64_t P,
                            std::int64_t C);

}  // namespace cuda
