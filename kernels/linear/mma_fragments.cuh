// Tiles of bf16 rows in shared memory and the fragments of mma.m16n8k16 that they become (ptx.cuh).
//
// A row of a tile is `columns` long (a multiple of 16, zero-padded) plus 16 bytes of padding, so that the row
// stride is an odd number of 16-byte units: the 8 rows of an ldmatrix are in different banks.
//
// Tiles have the layout of global memory: a token or a position of a map per row. Four roles in products, for
// a 16 x 16 corner at (row, column):
//
//   load_a                A [row, column]     q in q k^T
//   load_a_transposed     A [column, row]     P in P^T dout
//   load_b                B [column, row]     k in q k^T          two n-tiles: 16 rows
//   load_b_transposed     B [row, column]     v in P v            two n-tiles: 16 columns
#pragma once

#include "kernels/common/device_math.cuh"

namespace cuda::mma {

using Accumulator = float[4];
using FragmentA = std::uint32_t[4];
using FragmentB = std::uint32_t[2];

constexpr int row_stride_of(int columns) {
    return columns + 8;
}
constexpr std::size_t tile_elements(int rows, int columns) {
    return static_cast<std::size_t>(rows * row_stride_of(columns));
}

__device__ inline int lane_index() {
    return static_cast<int>(threadIdx.x) % warp_size;
}

// Element (row, column) of the matrix whose rows this lane addresses for ldmatrix: matrices 0 and 1 one above
// the other, or side by side.
__device__ inline const bf16* matrices_down(const bf16* tile, int stride, int row, int column) {
    const int lane = lane_index();
    return tile + (row + lane % 16) * stride + column + lane / 16 * 8;
}
__device__ inline const bf16* matrices_across(const bf16* tile, int stride, int row, int column) {
    const int lane = lane_index();
    return tile + (row + lane / 16 * 8 + lane % 8) * stride + column + lane / 8 % 2 * 8;
}

__device__ inline void load_a(FragmentA& a, const bf16* tile, int stride, int row, int column) {
    ldmatrix_x4(a, matrices_down(tile, stride, row, column));
}
__device__ inline void load_a_transposed(FragmentA& a, const bf16* tile, int stride, int row, int column) {
    ldmatrix_x4_transposed(a, matrices_across(tile, stride, row, column));
}
__device__ inline void load_b(FragmentB (&b)[2], const bf16* tile, int stride, int row, int column) {
    std::uint32_t r[4];
    ldmatrix_x4(r, matrices_across(tile, stride, row, column));
    b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}
__device__ inline void load_b_transposed(FragmentB (&b)[2], const bf16* tile, int stride, int row,
                                         int column) {
    std::uint32_t r[4];
    ldmatrix_x4_transposed(r, matrices_down(tile, stride, row, column));
    b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}

// 16 columns of a result, rounded to bf16, as the left factor of the next product.
__device__ inline void as_a(FragmentA& a, const Accumulator& left, const Accumulator& right) {
    a[0] = pack_bf16(left[0], left[1]);
    a[1] = pack_bf16(left[2], left[3]);
    a[2] = pack_bf16(right[0], right[1]);
    a[3] = pack_bf16(right[2], right[3]);
}

// Two results side by side into a tile: 16 rows from `row`, 16 columns from `column`, rows times `upper` (the
// first 8) and `lower`.
__device__ inline void store_results(bf16* tile, int stride, int row, int column,
                                     const Accumulator (&results)[2], float upper, float lower) {
    const int g = lane_index() / 4, t = lane_index() % 4;
#pragma unroll
    for (int n = 0; n < 2; ++n) {
        bf16* at = tile + (row + g) * stride + column + 8 * n + 2 * t;
        *reinterpret_cast<std::uint32_t*>(at) = pack_bf16(results[n][0] * upper, results[n][1] * upper);
        *reinterpret_cast<std::uint32_t*>(at + 8 * stride) =
            pack_bf16(results[n][2] * lower, results[n][3] * lower);
    }
}

__device__ inline float quad_sum(float x) {
    x += __shfl_xor_sync(all_lanes, x, 1);
    return x + __shfl_xor_sync(all_lanes, x, 2);
}
__device__ inline float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(all_lanes, x, 1));
    return fmaxf(x, __shfl_xor_sync(all_lanes, x, 2));
}

}  // namespace cuda::mma
