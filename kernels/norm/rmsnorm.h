// Root-mean-square normalisation over the last dimension: layer normalisation without the mean and the bias.
//
//   rstd_r = 1 / sqrt(sum_i x_ri^2 / width + eps)        y_ri = x_ri rstd_r weight_i
//
// and with g_ri = dy_ri weight_i:
//
//   dx_ri = rstd_r (g_ri - x_ri rstd_r^2 mean_i(g_r x_r))        dweight_i += sum_r dy_ri x_ri rstd_r
//
// Source: Zhang, Sennrich, "Root Mean Square Layer Normalization" (2019, arXiv 1910.07467), equation 4.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// y, x [rows, width]; rstd [rows]; weight [width]. y may be x.
// Moves 8 bytes per element (x read once from memory, once more from cache; y written once); 4 operations
// each.
void rmsnorm_forward(float* y, float* rstd, const float* x, const float* weight, std::int64_t rows,
                     std::int64_t width, float eps);

// out = x + branch and, of it, y and rstd as above, in one pass: a branch joins the residual stream and the
// next block normalises it. out, x, branch [rows, width]. out may be x, y may be branch.
// Moves 16 bytes per element where the two kernels one after the other move 20; 5 operations each.
void residual_rmsnorm_forward(float* out, float* y, float* rstd, const float* x, const float* branch,
                              const float* weight, std::int64_t rows, std::int64_t width, float eps);

// dx, dy, x [rows, width]; dweight, weight [width]; rstd [rows], as the forward pass wrote it.
// dx is overwritten and may be dy; dweight accumulates.
// Moves 12 bytes per element (dy and x read once from memory, dx written once); 9 operations each.
void rmsnorm_backward(float* dx, float* dweight, float* workspace, const float* dy, const float* x,
                      const float* weight, const float* rstd, std::int64_t rows, std::int64_t width);

// The same with dx += instead of dx =, for a residual stream; dx must not be dy. Moves 16 bytes per element.
void rmsnorm_backward_accumulate(float* dx, float* dweight, float* workspace, const float* dy, const float* x,
                                 const float* weight, const float* rstd, std::int64_t rows,
                                 std::int64_t width);

// Floats of workspace that either backward needs, for any number of rows.
std::int64_t rmsnorm_backward_workspace(std::int64_t width);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h. Rows of at most
// 3,072 elements: std::runtime_error for wider ones.
template <class T>
void rmsnorm_forward(Stream stream, T* y, float* rstd, const float* x, const float* weight, std::int64_t rows,
                     std::int64_t width, float eps);
template <class T>
void residual_rmsnorm_forward(Stream stream, float* out, T* y, float* rstd, const float* x, const T* branch,
                              const float* weight, std::int64_t rows, std::int64_t width, float eps);
template <class T>
void rmsnorm_backward(Stream stream, float* dx, float* dweight, float* workspace, const T* dy, const float* x,
                      const float* weight, const float* rstd, std::int64_t rows, std::int64_t width);
template <class T>
void rmsnorm_backward_accumulate(Stream stream, float* dx, float* dweight, float* workspace, const T* dy,
                                 const float* x, const float* weight, const float* rstd, std::int64_t rows,
                                 std::int64_t width);
std::int64_t rmsnorm_backward_workspace(std::int64_t width);

}  // namespace cuda
