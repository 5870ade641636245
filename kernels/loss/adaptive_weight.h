// How much of one gradient is added to another, found without asking the host: with a and b the squared norms
// of two losses' gradients at one layer,
//
//   weight = min(factor sqrt(a) / (sqrt(b) + 1e-4), 1e4)        y += weight x
//
// which gives the second loss `factor` times the first one's say at that layer.
// Source: Esser, Rombach, Ommer, "Taming Transformers for High-Resolution Image Synthesis" (2021, arXiv
// 2012.09841), equation 7.
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

// The same contracts on the device: stream.h says what pointers and sizes mean there.
void adaptive_weight(Stream stream, float* weight, const double* squared_norms, float factor);
template <class T>
void add_weighted(Stream stream, T* y, const T* x, const float* weight, std::int64_t count);

}  // namespace cuda
