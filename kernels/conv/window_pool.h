// Pooling over square windows of any size and stride, maps channels last: x [B, H, W, C] -> y
// [B, out_height, out_width, C].
//
//   window_max    y[b, i, j, c] = max  over p, q of x[b, i stride + p - padding, j stride + q - padding, c]
//   window_mean   y[b, i, j, c] = mean of the same
//
// over 0 <= p, q < window; positions outside of the map are left out, of the mean's divisor as well. Forward
// only: for networks with fixed weights. No aliasing; the padding is smaller than the window. Source: Szegedy et
// al., "Rethinking the Inception Architecture for Computer Vision" (2015, arXiv 1512.00567).
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

struct WindowPoolShape {
    std::int64_t B, H, W, C;  // of x
    std::int64_t window, stride, padding;

    std::int64_t out_height() const { return (H + 2 * padding - window) / stride + 1; }
    std::int64_t out_width() const { return (W + 2 * padding - window) / stride + 1; }
    std::int64_t out_rows() const { return B * out_height() * out_width(); }
};

namespace cpu {

// Each moves 4 (window^2 + 1) bytes per element of y, of which most come from cache: 4 (stride^2 + 1) from
// memory; window^2 operations.
void window_max(float* y, const float* x, const WindowPoolShape& shape);
void window_mean(float* y, const float* x, const WindowPoolShape& shape);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h. Fewer than 2^31 positions of y.
template <class T>
void window_max(Stream stream, T* y, const T* x, const WindowPoolShape& shape);
template <class T>
void window_mean(Stream stream, T* y, const T* x, const WindowPoolShape& shape);

}  // namespace cuda
