// Feature maps of half and of twice the size. Channels last: x [B, H, W, C].
//
//   average_pool   y[b, i, j, c] = (x[b, 2i, 2j, c] + x[b, 2i, 2j+1, c] + x[b, 2i+1, 2j, c]
//                                   + x[b, 2i+1, 2j+1, c]) / 4
//   upsample       y[b, i, j, c] = x[b, i / 2, j / 2, c], rounded down: nearest neighbour
//
// Up to the factor, each is the other's gradient. No aliasing.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

// Of the smaller map, [B, H, W, C]; the larger one is [B, 2H, 2W, C].
struct ResampleShape {
    std::int64_t B, H, W, C;
};

namespace cpu {

// y smaller, x larger. Moves 20 bytes per element of y; 4 operations.
void average_pool_forward(float* y, const float* x, const ResampleShape& shape);
// dx larger, overwritten; dy smaller. Moves 20 bytes per element of dy; 1 operation.
void average_pool_backward(float* dx, const float* dy, const ResampleShape& shape);

// y larger, x smaller. Moves 20 bytes per element of x.
void upsample_forward(float* y, const float* x, const ResampleShape& shape);
// dx smaller, overwritten; dy larger. Moves 20 bytes per element of dx; 3 operations.
void upsample_backward(float* dx, const float* dy, const ResampleShape& shape);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h. At most 2^31 - 1
// positions.
template <class T>
void average_pool_forward(Stream stream, T* y, const T* x, const ResampleShape& shape);
template <class T>
void average_pool_backward(Stream stream, T* dx, const T* dy, const ResampleShape& shape);
template <class T>
void upsample_forward(Stream stream, T* y, const T* x, const ResampleShape& shape);
template <class T>
void upsample_backward(Stream stream, T* dx, const T* dy, const ResampleShape& shape);

}  // namespace cuda
