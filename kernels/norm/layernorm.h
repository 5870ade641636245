// Layer normalisation over the last dimension.
//
//   mean_r = sum_i x_ri / width                 rstd_r = 1 / sqrt(sum_i (x_ri - mean_r)^2 / width + eps)
//   n_ri   = (x_ri - mean_r) rstd_r             y_ri   = n_ri weight_i + bias_i
//
// and with g_ri = dy_ri weight_i:
//
//   dx_ri = rstd_r (g_ri - mean_i(g_r) - n_ri mean_i(g_r n_r))
//   dweight_i += sum_r dy_ri n_ri               dbias_i += sum_r dy_ri
//
// Source: Ba, Kiros, Hinton, "Layer Normalization" (2016, arXiv 1607.06450), section 3.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// y, x [rows, width]; mean, rstd [rows]; weight, bias [width]. y may be x.
// Moves 8 bytes per element (x read once from memory, then twice from cache; y written once); 7 operations
// each.
void layernorm_forward(float* y, float* mean, float* rstd, const float* x, const float* weight,
                       const float* bias, std::int64_t rows, std::int64_t width, float eps);

// out = x + branch and, of it, y, mean and rstd as above, in one pass: a branch joins the residual stream and
// the next block normalises it. out, x, branch [rows, width]. out may be x, y may be branch.
// Moves 16 bytes per element where the two kernels one after the other move 20; 8 operations each.
void residual_layernorm_forward(float* out, float* y, float* mean, float* rstd, const float* x,
                                const float* branch, const float* weight, const float* bias,
                                std::int64_t rows, std::int64_t width, float eps);

// dx, dy, x [rows, width]; dweight, dbias, weight [width]; mean, rstd [rows], as the forward pass wrote them.
// dx is overwritten and may be dy; dweight and dbias accumulate.
// Moves 12 bytes per element (dy and x read once from memory, dx written once); 15 operations each.
void layernorm_backward(float* dx, float* dweight, float* dbias, float* workspace, const float* dy,
                        const float* x, const float* weight, const float* mean, const float* rstd,
                        std::int64_t rows, std::int64_t width);

// The same with dx += instead of dx =, for a residual stream; dx must not be dy. Moves 16 bytes per element.
void layernorm_backward_accumulate(float* dx, float* dweight, float* dbias, float* workspace, const float* dy,
                                   const float* x, const float* weight, const float* mean, const float* rstd,
                                   std::int64_t rows, std::int64_t width);

// Floats of workspace that either backward needs, for any number of rows.
std::int64_t layernorm_backward_workspace(std::int64_t width);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h. Rows of at most
// 3,072 elements: std::runtime_error for wider ones.
template <class T>
void layernorm_forward(Stream stream, T* y, float* mean, float* rstd, const float* x, const float* weight,
                       const float* bias, std::int64_t rows, std::int64_t width, float eps);
template <class T>
void residual_layernorm_forward(Stream stream, float* out, T* y, float* mean, float* rstd, const float* x,
                                const T* branch, const float* weight, const float* bias, std::int64_t rows,
                                std::int64_t width, float eps);
template <class T>
void layernorm_backward(Stream stream, float* dx, float* dweight, float* dbias, float* workspace, const T* dy,
                        const float* x, const float* weight, const float* mean, const float* rstd,
                        std::int64_t rows, std::int64_t width);
template <class T>
void layernorm_backward_accumulate(Stream stream, float* dx, float* dweight, float* dbias, float* workspace,
                                   const T* dy, const float* x, const float* weight, const float* mean,
                                   const float* rstd, std::int64_t rows, std::int64_t width);
std::int64_t layernorm_backward_workspace(std::int64_t width);

}  // namespace cuda
