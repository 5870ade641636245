// Two-dimensional convolution (cross-correlation, as the field calls it) of channels-last maps.
//
//   y[b, i, j, n] = bias_n
//                   + sum_{c, p, q} w[n, c, p, q] x[b, i stride + p - padding, j stride + q - padding, c]
//
// over 0 <= p, q < kernel, with zeros for x outside of its map:
//
//   forward           y  [B * out_height * out_width, N]
//   backward, input   dx [b, u, v, c]  = sum_{n, p, q} w[n, c, p, q] dy[b, i, j, n]
//                     over i stride + p - padding = u and j stride + q - padding = v
//   backward, weight  dw [n, c, p, q] += sum_{b, i, j} dy[b, i, j, n] x[b, i stride + p - padding, ..., c]
//                     dbias_n         += sum_{b, i, j} dy[b, i, j, n]
//
// with x [B * height * width, C] in raster order and w [N, C, kernel, kernel] as checkpoints store it. Each
// is 2 B out_height out_width N C kernel^2 operations on 4 (elements of x, y and w) bytes: 3 x 3 on 64
// channels are 288 operations for each 4 bytes of x and y, so a convolution of a model's width is bound by
// arithmetic. A 1 x 1 convolution is a product of matrices: matmul.h.
//
// Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016, arXiv 1603.07285).
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

struct Conv2dShape {
    std::int64_t batch, height, width;  // of x
    std::int64_t C, N;                  // channels of x, of y
    std::int64_t kernel, stride, padding;

    std::int64_t out_height() const { return (height + 2 * padding - kernel) / stride + 1; }
    std::int64_t out_width() const { return (width + 2 * padding - kernel) / stride + 1; }
    std::int64_t rows() const { return batch * height * width; }
    std::int64_t out_rows() const { return batch * out_height() * out_width(); }
    std::int64_t inner() const { return C * kernel * kernel; }  // products in a sum
    std::int64_t weights() const { return N * inner(); }
    auto operator<=>(const Conv2dShape&) const = default;
};

namespace cpu {

// No operand may overlap a result. `bias` may be null; the size of `workspace` in floats is given by the
// function below. Maps must be large enough for at least one output. Throws std::exception if oneDNN fails.
void conv2d_forward(float* y, float* workspace, const float* x, const float* weight, const float* bias,
                    const Conv2dShape& shape);
std::int64_t conv2d_forward_workspace(const Conv2dShape& shape);

// dx is overwritten.
void conv2d_backward_input(float* dx, float* workspace, const float* dy, const float* weight,
                           const Conv2dShape& shape);
std::int64_t conv2d_backward_input_workspace(const Conv2dShape& shape);

// d_weight and d_bias (null: no bias) accumulate.
void conv2d_backward_weight(float* d_weight, float* d_bias, float* workspace, const float* dy, const float* x,
                            const Conv2dShape& shape);
std::int64_t conv2d_backward_weight_workspace(const Conv2dShape& shape);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void conv2d_forward(Stream stream, T* y, float* workspace, const T* x, const T* weight, const T* bias,
                    const Conv2dShape& shape);
std::int64_t conv2d_forward_workspace(const Conv2dShape& shape);
template <class T>
void conv2d_backward_input(Stream stream, T* dx, float* workspace, const T* dy, const T* weight,
                           const Conv2dShape& shape);
std::int64_t conv2d_backward_input_workspace(const Conv2dShape& shape);
template <class T>
void conv2d_backward_weight(Stream stream, float* d_weight, float* d_bias, float* workspace, const T* dy,
                            const T* x, const Conv2dShape& shape);
std::int64_t conv2d_backward_weight_workspace(const Conv2dShape& shape);

}  // namespace cuda
