// Two-dimensional convolution (cross-correlation, as the field calls it) of channels-last maps.
//
//   y[b, i, j, n] = f(bias_n
//                     + sum_{c, p, q} w[n, c, p, q] x[b, i stride + p - P, j stride + q - Q, c])
//
// over the kernel's rows p and columns q, with zeros for x outside of its map, P rows and Q columns of which
// are padding; f is the identity or ReLU:
//
//   forward           y  [B * out_height * out_width, N]
//   backward, input   dx [b, u, v, c]  = sum_{n, p, q} w[n, c, p, q] dy[b, i, j, n]
//                     over i stride + p - P = u and j stride + q - Q = v, dy the gradient before f
//   backward, weight  dw [n, c, p, q] += sum_{b, i, j} dy[b, i, j, n] x[b, i stride + p - P, ..., c]
//                     dbias_n         += sum_{b, i, j} dy[b, i, j, n]
//
// with x [B * height * width, C] in raster order and w [N, C, kernel_height, kernel_width] as checkpoints
// store it. Each is 2 B out_height out_width N C kernel_height kernel_width operations on 4 (elements of x, y
// and w) bytes: 3 x 3 on 64 channels are 288 operations for each 4 bytes of x and y, so a convolution of a
// model's width is bound by arithmetic. A 1 x 1 convolution is a product of matrices: matmul.h.
//
// Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016, arXiv 1603.07285).
#pragma once

#include <cstdint>

#include "kernels/common/bf16.h"
#include "kernels/common/stream.h"

struct Conv2dShape {
    std::int64_t batch, height, width;  // of x
    std::int64_t C, N;                  // channels of x, of y
    std::int64_t kernel_height, kernel_width, stride;
    std::int64_t padding_height, padding_width;  // at either side

    std::int64_t out_height() const { return (height + 2 * padding_height - kernel_height) / stride + 1; }
    std::int64_t out_width() const { return (width + 2 * padding_width - kernel_width) / stride + 1; }
    std::int64_t rows() const { return batch * height * width; }
    std::int64_t out_rows() const { return batch * out_height() * out_width(); }
    std::int64_t taps() const { return kernel_height * kernel_width; }
    std::int64_t inner() const { return C * taps(); }  // products in a sum
    std::int64_t weights() const { return N * inner(); }
    auto operator<=>(const Conv2dShape&) const = default;
};

namespace cpu {

// No operand may overlap a result. `bias` may be null; the size of `workspace` in floats is given by the
// function below. Maps must be large enough for at least one output. Throws std::exception if oneDNN fails.
void conv2d_forward(float* y, float* workspace, const float* x, const float* weight, const float* bias,
                    bool relu, const Conv2dShape& shape);
std::int64_t conv2d_forward_workspace(const Conv2dShape& shape);

// dx is overwritten.
void conv2d_backward_input(float* dx, float* workspace, const float* dy, const float* weight,
                           const Conv2dShape& shape);
std::int64_t conv2d_backward_input_workspace(const Conv2dShape& shape);

// d_weight and d_bias (null: no bias) accumulate.
void conv2d_backward_weight(float* d_weight, float* d_bias, float* workspace, const float* dy, const float* x,
                            const Conv2dShape& shape);
std::int64_t conv2d_backward_weight_workspace(const Conv2dShape& shape);

// The same with operands in bf16 and sums in fp32, on a CPU that multiplies bf16
// (kernels/linear/matmul_bf16.h): the weight rounded beforehand, x and dy as they are read.
void conv2d_forward(float* y, float* workspace, const float* x, const bf16* weight, const float* bias,
                    bool relu, const Conv2dShape& shape);
void conv2d_backward_input(float* dx, float* workspace, const float* dy, const bf16* weight,
                           const Conv2dShape& shape);
void conv2d_backward_weight(Bf16ProductSum d_weight, float* d_bias, float* workspace, const float* dy,
                            const float* x, const Conv2dShape& shape);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void conv2d_forward(Stream stream, T* y, float* workspace, const T* x, const T* weight, const T* bias,
                    bool relu, const Conv2dShape& shape);
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
