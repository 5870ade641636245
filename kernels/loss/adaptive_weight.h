// Adaptive weight of one gradient added to another, computed without the host: with a and b the squared norms
// of two losses' gradients at one layer,
//
//   weight = min(factor sqrt(a) / (sqrt(b) + 1e-4), 1e4)        y += weight x
//
// so that the second loss's gradient has `factor` times the norm of the first one's at that layer. Source:
// Esser, Rombach, Ommer, "Taming Transformers for High-Resolution Image Synthesis" (2021, arXiv 2012.09841),
// equation 7.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// weight [1]; squared_norms [2]: a, b.
void adaptive_weight(float* weight, const double* squared_norms, float factor);

// y, x [count]; weight [1], read where the kernel runs. Moves 12 bytes per element, 2 operations.
void add_weighted(float* y, const float* x, const float* weight, std::int64_t count);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void adaptive_weight(Stream stream, float* weight, const double* squared_norms, float factor);
template <class T>
void add_weighted(Stream stream, T* y, const T* x, const float* weight, std::int64_t count);

}  // namespace cuda
