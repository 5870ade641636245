// Rotary position embedding for tokens on a square grid: the first half of a head's pairs turns with the row,
// the second half with the column.
//
// Head dimension d (a multiple of 4), pairs j = 0..d/2-1 of adjacent elements (2j, 2j+1):
//
//   frequency f_k = 10000^(-4k/d), k < d/4        angle_j = row f_j for j < d/4, column f_(j - d/4) otherwise
//   (a, b) -> (a cos - b sin, b cos + a sin)
//
// The condition token in front of the grid has cosine and sine zero in every pair: its q and k become zero,
// so every query weighs it with the same logit 0.
//
// Source: Su et al., "RoFormer" (2021, arXiv 2104.09864), equation 34; the two-dimensional form and the
// zeroed condition token are the fractal release's.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// Fills cosine, sine [1 + grid * grid, head_dim / 2]: entry 0 is the condition token, entry 1 + t grid cell t
// in raster order. Angles in double precision. Host memory, to be copied to where the kernels run; meant to
// be called once.
void rotary_table(float* cosine, float* sine, std::int64_t grid, std::int64_t head_dim);

// Turns q and k of qkv [sequences, length, 3, heads, head_dim] in place; v is not touched. Token t of every
// sequence takes the tables' entry first_position + t, which must exist; head_dim must be a multiple of 4.
// Moves 16 bytes per element of q (q and k read and written, the table from cache); 3 operations per element.
void rotary_forward(float* qkv, const float* cosine, const float* sine, std::int64_t sequences,
                    std::int64_t length, std::int64_t heads, std::int64_t head_dim,
                    std::int64_t first_position);

// The transpose, in place on the gradient: (a, b) -> (a cos + b sin, b cos - a sin). Same shapes and cost.
void rotary_backward(float* d_qkv, const float* cosine, const float* sine, std::int64_t sequences,
                     std::int64_t length, std::int64_t heads, std::int64_t head_dim,
                     std::int64_t first_position);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void rotary_forward(Stream stream, T* qkv, const float* cosine, const float* sine, std::int64_t sequences,
                    std::int64_t length, std::int64_t heads, std::int64_t head_dim,
                    std::int64_t first_position);
template <class T>
void rotary_backward(Stream stream, T* d_qkv, const float* cosine, const float* sine, std::int64_t sequences,
                     std::int64_t length, std::int64_t heads, std::int64_t head_dim,
                     std::int64_t first_position);

}  // namespace cuda
