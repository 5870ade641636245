// The largest of 2 x 2 positions, maps channels last: x [B, H, W, C] -> y [B, H / 2, W / 2, C], rounded down:
// an odd last row or column is left out, as VGG has it.
//
//   y[b, i, j, c] = max over p, q in {0, 1} of x[b, 2i + p, 2j + q, c]
//
// The gradient is added at the position of the maximum, the first in raster order among equals; it is
// recomputed from x, so only x has to be saved. No aliasing. Source: Simonyan, Zisserman, "Very Deep
// Convolutional Networks for Large-Scale Image Recognition" (ICLR 2015).
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

// Of x.
struct MaxPoolShape {
    std::int64_t B, H, W, C;
    std::int64_t out_height() const { return H / 2; }
    std::int64_t out_width() const { return W / 2; }
};

namespace cpu {

// Moves 20 bytes per element of y; 3 operations.
void max_pool_forward(float* y, const float* x, const MaxPoolShape& shape);
// dx is overwritten, with 0 where no gradient comes from. Moves 36 bytes per element of dy; 3 operations.
void max_pool_backward(float* dx, const float* dy, const float* x, const MaxPoolShape& shape);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h. At most 2^31 - 1
// positions.
template <class T>
void max_pool_forward(Stream stream, T* y, const T* x, const MaxPoolShape& shape);
template <class T>
void max_pool_backward(Stream stream, T* dx, const T* dy, const T* x, const MaxPoolShape& shape);

}  // namespace cuda
