// Pictures resized by bilinear interpolation, without antialiasing, and mapped to the range of a network's
// input: x [B, C, H, W], planes as data sets and samplers hold them -> y [B, out_height, out_width, C],
// channels last as networks read them.
//
//   y[b, i, j, c] = factor * (sum of the 4 neighbours of (u, v) in x[b, c], by their distance) + offset
//
// Along a side of n elements that becomes one of m, output i has source coordinate
//
//   half_pixel   u = max((i + 1/2) n / m - 1/2, 0)    centres of pixels are mapped (PyTorch)
//   corner       u = i n / m                          upper left corners are (TensorFlow 1)
//
// and the neighbours floor(u) and min(floor(u) + 1, n - 1), weighted 1 - t and t with t = u - floor(u). All in
// float, u by the float n / m, as the networks' own code has it.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

enum class PixelCentres { half_pixel, corner };

struct BilinearShape {
    std::int64_t B, C, H, W;  // of x
    std::int64_t out_height, out_width;
    PixelCentres centres;
    float factor, offset;
};

namespace cpu {

// x of bytes 0..255 or of float. Moves up to 4 elements of x and 4 bytes per element of y; 9 operations.
template <class X>
void bilinear_resize(float* y, const X* x, const BilinearShape& shape);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h. Fewer than 2^31 positions of y.
template <class T, class X>
void bilinear_resize(Stream stream, T* y, const X* x, const BilinearShape& shape);

}  // namespace cuda
