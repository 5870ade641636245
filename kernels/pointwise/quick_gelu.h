// The Gaussian error linear unit by a sigmoid, as CLIP's weights want it:
//
//   y = x s(x),  s(x) = 1 / (1 + e^(-1.702 x))        dy/dx = s (1 + 1.702 x (1 - s))
//
// Source: Hendrycks, Gimpel, "Gaussian Error Linear Units" (2016, arXiv 1606.08415), section 2; Radford et al.,
// "Learning Transferable Visual Models From Natural Language Supervision" (ICML 2021, arXiv 2103.00020).
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// y, x [count]. y may be x. Moves 8 bytes per element; counted as 22 operations.
void quick_gelu_forward(float* y, const float* x, std::int64_t count);

// dx, dy, x [count]. dx is overwritten and may be dy. Moves 12 bytes per element; counted as 26 operations.
void quick_gelu_backward(float* dx, const float* dy, const float* x, std::int64_t count);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void quick_gelu_forward(Stream stream, T* y, const T* x, std::int64_t count);
template <class T>
void quick_gelu_backward(Stream stream, T* dx, const T* dy, const T* x, std::int64_t count);

}  // namespace cuda
