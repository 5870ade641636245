// The exact Gaussian error linear unit, with Phi the distribution function and phi the density of the normal
// law:
//
//   y = x Phi(x),  Phi(x) = (1 + erf(x / sqrt 2)) / 2        dy/dx = Phi(x) + x phi(x)
//
// The absolute error of y is below 3e-7 |x|, that of the slope below 5e-7.
// Source: Hendrycks, Gimpel, "Gaussian Error Linear Units" (2016, arXiv 1606.08415).
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// y, x [count]. y may be x. Moves 8 bytes per element; counted as 30 operations.
void gelu_forward(float* y, const float* x, std::int64_t count);

// dx, dy, x [count]. dx is overwritten and may be dy. Moves 12 bytes per element; counted as 34 operations.
void gelu_backward(float* dx, const float* dy, const float* x, std::int64_t count);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void gelu_forward(Stream stream, T* y, const T* x, std::int64_t count);
template <class T>
void gelu_backward(Stream stream, T* dx, const T* dy, const T* x, std::int64_t count);

}  // namespace cuda
