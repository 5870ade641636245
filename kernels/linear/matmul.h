// Matrix products of a linear layer: y = x W^T + b, with W [N, K] as checkpoints store it.
//
//   forward          y  [rows, N] = x [rows, K] . W^T + b        2 rows N K operations
//   backward, input  dx [rows, K] = dy [rows, N] . W             2 rows N K
//   backward, weight dW [N, K]   += dy^T . x,  db [N] += column sums of dy
//
// Each moves 4 (rows K + rows N + N K) bytes if it reads and writes every matrix once: at width 128 that is 2
// x 128 / 12 = 21 operations a byte, so products of a model's width are bound by arithmetic as long as their
// operands stay in cache. Rows of x and y may lie apart (`x_stride`, `y_stride` in floats, at least K and N),
// so that one token of each sequence can be addressed without a copy. W and its gradient are contiguous. No
// operand may overlap a result.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// No result of a linear layer depends on the number of threads. Of the forward products a row's bits do not depend
// on the other rows.
//
// `bias` may be null.
void linear_forward(float* y, std::int64_t y_stride, const float* x, std::int64_t x_stride,
                    const float* weight, const float* bias, std::int64_t rows, std::int64_t N,
                    std::int64_t K);

// As linear_forward, with contiguous rows and always a bias; also `activated` [rows, N] = gelu(y). Both are
// one pass over a tile of rows just computed. `y` may be null: gelu's input is then not kept, 4 rows N bytes
// less.
void linear_gelu_forward(float* activated, float* y, const float* x, const float* weight, const float* bias,
                         std::int64_t rows, std::int64_t N, std::int64_t K);

void linear_backward_input(float* dx, std::int64_t dx_stride, const float* dy, std::int64_t dy_stride,
                           const float* weight, std::int64_t rows, std::int64_t N, std::int64_t K);
// dx += ...
void linear_backward_input_accumulate(float* dx, std::int64_t dx_stride, const float* dy,
                                      std::int64_t dy_stride, const float* weight, std::int64_t rows,
                                      std::int64_t N, std::int64_t K);

// d_weight and d_bias (null: no bias) accumulate. `workspace`: linear_backward_weight_workspace(N) floats.
void linear_backward_weight(float* d_weight, float* d_bias, float* workspace, const float* dy,
                            std::int64_t dy_stride, const float* x, std::int64_t x_stride, std::int64_t rows,
                            std::int64_t N, std::int64_t K);
std::int64_t linear_backward_weight_workspace(std::int64_t N);

// C [M, N] = A [M, K] . B [K, N], contiguous: the ceiling that benchmarks compare with.
void matmul(float* C, const float* A, const float* B, std::int64_t M, std::int64_t N, std::int64_t K);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h. Moved are sizeof(T)
// bytes per element of x, y and W, 4 of dW. The same call, with the same alignment of its pointers and the
// same size of stream.workspace, gives the same bits in every run; another number of rows may change the bits
// of a row.
//
// linear_gelu_forward in bf16: if the addresses are multiples of 16 bytes and N of 8, and the library fuses it
// on this device, gelu is the tanh form, which the library's epilogue applies, saving a pass over y:
//
//   x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
//
// It differs from x Phi(x) by at most 4.8e-4 (at x = -2.7); for x of variance 1 by 1.3e-4 in the root mean
// square, an eighth of the error of rounding the result to bf16 (1.1e-3). Its tanh may be the instruction
// tanh.approx, of relative error 2^-11 (PTX ISA), which adds at most |x| 2^-12. `y` is the input of gelu, for
// gelu_backward; it is rounded after gelu if gelu is fused, else before. In float gelu is exact.
template <class T>
void linear_forward(Stream stream, T* y, std::int64_t y_stride, const T* x, std::int64_t x_stride,
                    const T* weight, const T* bias, std::int64_t rows, std::int64_t N, std::int64_t K);
template <class T>
void linear_gelu_forward(Stream stream, T* activated, T* y, const T* x, const T* weight, const T* bias,
                         std::int64_t rows, std::int64_t N, std::int64_t K);
template <class T>
void linear_backward_input(Stream stream, T* dx, std::int64_t dx_stride, const T* dy, std::int64_t dy_stride,
                           const T* weight, std::int64_t rows, std::int64_t N, std::int64_t K);
template <class T>
void linear_backward_input_accumulate(Stream stream, T* dx, std::int64_t dx_stride, const T* dy,
                                      std::int64_t dy_stride, const T* weight, std::int64_t rows,
                                      std::int64_t N, std::int64_t K);
template <class T>
void linear_backward_weight(Stream stream, float* d_weight, float* d_bias, float* workspace, const T* dy,
                            std::int64_t dy_stride, const T* x, std::int64_t x_stride, std::int64_t rows,
                            std::int64_t N, std::int64_t K);
std::int64_t linear_backward_weight_workspace(std::int64_t N);
template <class T>
void matmul(Stream stream, T* C, const T* A, const T* B, std::int64_t M, std::int64_t N, std::int64_t K);

}  // namespace cuda
