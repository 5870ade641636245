// A rectifier that lets a part of the negative through:
//
//   y = x where x > 0, slope x elsewhere        dx = dy where y > 0, slope dy elsewhere        0 <= slope < 1
//
// y is positive where x is, so that the backward pass needs y alone, which the next layer keeps anyway. With
// slope 0 it is the plain rectifier, ReLU.
// Source: Maas, Hannun, Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models" (ICML 2013).
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// y, x [count]. y may be x. Moves 8 bytes per element, 1 operation.
void leaky_relu_forward(float* y, const float* x, float slope, std::int64_t count);

// dx, dy, y [count]. dx is overwritten and may be dy. Moves 12 bytes per element, 1 operation.
void leaky_relu_backward(float* dx, const float* dy, const float* y, float slope, std::int64_t count);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void leaky_relu_forward(Stream stream, T* y, const T* x, float slope, std::int64_t count);
template <class T>
void leaky_relu_backward(Stream stream, T* dx, const T* dy, const T* y, float slope, std::int64_t count);

}  // namespace cuda
