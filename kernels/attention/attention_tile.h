// The pieces that the attention kernels are made of: a register-blocked product of small tiles and the sum
// over the lanes of 16 vectors. All data lie in L1 or L2 when they are called, so they are bound by
// arithmetic: one multiply-add of `product` handles 16 columns, and each value loaded is used by up to 12
// rows.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <utility>

#include "kernels/common/transpose.h"
#include "kernels/common/vector.h"

namespace cpu::attention {

constexpr int tile_rows = 64;  // queries, or keys, of one tile
constexpr int max_head_dim = 256;
using Tile = float[tile_rows][tile_rows];
using TileRow = float[tile_rows];

constexpr int round_up_to_lanes(int n) {
    return (n + lanes - 1) / lanes * lanes;
}

// Lane r of `sum` becomes the sum of all lanes of rows[r]: 30 shuffles and 15 additions for 16 sums.
inline void sum_lanes(Vector& sum, const Vector (&rows)[lanes]) {
    Vector quad[4];  // lane 4 k + r of quad[g]: a partial sum of rows[4 g + r]
    for (int g = 0; g < 4; ++g) {
        Vector pair[2];
        for (int p = 0; p < 2; ++p) {
            const Vector &a = rows[4 * g + 2 * p], &b = rows[4 * g + 2 * p + 1];
            pair[p] =
                __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) +
                __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
        }
        quad[g] = __builtin_shufflevector(pair[0], pair[1], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13,
                                          28, 29) +
                  __builtin_shufflevector(pair[0], pair[1], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14,
                                          15, 30, 31);
    }
    Vector half[2];  // quarter 2 q + k of half[h]: half k of the sums of rows 8 h + 4 q .. 8 h + 4 q + 3
    for (int h = 0; h < 2; ++h) {
        const Vector &a = quad[2 * h], &b = quad[2 * h + 1];
        half[h] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
                  __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    }
    sum =
        __builtin_shufflevector(half[0], half[1], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
        __builtin_shufflevector(half[0], half[1], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

// Every lane becomes the sum, or the maximum, of all lanes.
inline void sum_in_every_lane(Vector& v) {
    v += __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    v += __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
}
inline void maximum_in_every_lane(Vector& v) {
    Vector other = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    v = v > other ? v : other;
    other = __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    v = v > other ? v : other;
    other = __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    v = v > other ? v : other;
    other = __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    v = v > other ? v : other;
}

// result[r] = sum_c a[r * a_stride + c] b[r * b_stride + c] for r < rows <= 16; all 16 entries are written,
// those from `rows` on with meaningless numbers. A stride of 0 multiplies one vector with every row.
inline void dot_rows(float* result, const float* a, std::int64_t a_stride, const float* b,
                     std::int64_t b_stride, int rows, int head_dim) {
    Vector sums[lanes] = {};
    const int whole = head_dim / lanes * lanes;
#pragma GCC unroll 4
    for (int quad = 0; quad < lanes; quad += 4) {
        if (quad >= rows) break;
        const int r1 = std::min(quad + 1, rows - 1), r2 = std::min(quad + 2, rows - 1);
        const int row[4] = {quad, r1, r2, std::min(quad + 3, rows - 1)};
        for (int c = 0; c < whole; c += lanes) {
            for (int r = 0; r < 4; ++r) {
                Vector va, vb;
                load(va, a + row[r] * a_stride + c);
                load(vb, b + row[r] * b_stride + c);
                sums[quad + r] += va * vb;
            }
        }
    }
    Vector sum;
    sum_lanes(sum, sums);
    store(result, sum);
    for (int r = 0; whole < head_dim && r < rows; ++r)
        for (int c = whole; c < head_dim; ++c) result[r] += a[r * a_stride + c] * b[r * b_stride + c];
}

// log(x) for x >= 1, absolute error below 3e-7 max(1, log x): x = 2^n f with f in [sqrt(1/2), sqrt(2)), and
// log f = 2 artanh(z), z = (f - 1) / (f + 1), by its series up to z^9. No library call, so that loops
// vectorise.
inline float log_of_sum(float x) {
    const std::int32_t bits = std::bit_cast<std::int32_t>(x);
    const std::int32_t n = (bits - 0x3F3504F3) >> 23;  // 0x3F3504F3: sqrt(1/2)
    const float f = std::bit_cast<float>(bits - (n << 23));
    const float z = (f - 1) / (f + 1), z2 = z * z;
    const float series = ((z2 * (1.0f / 9) + 1.0f / 7) * z2 + 1.0f / 5) * z2 + 1.0f / 3;
    return static_cast<float>(n) * 0.693147181f + 2 * (z + z * z2 * series);
}

// Rows of one matrix, `stride` floats apart, each readable up to the next multiple of 16 floats.
struct RowView {
    const float* start;
    std::int64_t stride;
};

// The entries of a tile on the causal diagonal that are used (query >= key); others are not computed.
enum class Causal { none, inner_up_to_row, inner_from_row, columns_from_row };

// C[r][n] = keep[r] C[r][n] + add[r] sum_k A[r][k] B[k][n], r < rows, n < columns, k < inner. Without `keep`
// C is overwritten, without `add` the factor is 1. Rows of B are readable, and C is written, as follows: B up
// to the next multiple of 16 columns, C up to `columns` only.
struct Product {
    struct {
        float* start;
        std::int64_t stride;
    } C;
    struct {
        const float* start;
        std::int64_t row_stride, inner_stride;
    } A;
    RowView B;
    int rows, columns, inner;
    Causal causal = Causal::none;
    const float* keep = nullptr;
    const float* add = nullptr;
};

// One register block: Rows x (16 Vectors) sums over inner_begin <= k < inner_end.
template <int Rows, int Vectors>
void product_block(const Product& p, int row, int column, int inner_begin, int inner_end) {
    Vector sum[Rows][Vectors] = {};
    const std::int64_t row_stride = p.A.row_stride;
    const float* A = p.A.start + row * row_stride + inner_begin * p.A.inner_stride;
    const float* B = p.B.start + inner_begin * p.B.stride + column;
    for (int k = inner_begin; k < inner_end; ++k, A += p.A.inner_stride, B += p.B.stride) {
        Vector b[Vectors];
        for (int v = 0; v < Vectors; ++v) load(b[v], B + v * lanes);
        for (int r = 0; r < Rows; ++r) {
            const float a = A[r * row_stride];
            for (int v = 0; v < Vectors; ++v) sum[r][v] += a * b[v];
        }
    }
    float* C = p.C.start + row * p.C.stride + column;
    const float* keep = p.keep == nullptr ? nullptr : p.keep + row;
    const float* add = p.add == nullptr ? nullptr : p.add + row;
    if (p.columns - column >= Vectors * lanes) {
#pragma GCC unroll 12
        for (int r = 0; r < Rows; ++r, C += p.C.stride) {
            for (int v = 0; v < Vectors; ++v) {
                if (add != nullptr) sum[r][v] *= add[r];
                if (keep != nullptr) {
                    Vector old;
                    load(old, C + v * lanes);
                    sum[r][v] += keep[r] * old;
                }
                store(C + v * lanes, sum[r][v]);
            }
        }
    } else {
        float values[Rows][Vectors * lanes];
        for (int r = 0; r < Rows; ++r)
            for (int v = 0; v < Vectors; ++v) store(&values[r][v * lanes], sum[r][v]);
        for (int r = 0; r < Rows; ++r, C += p.C.stride)
            for (int n = 0; n < p.columns - column; ++n)
                C[n] = (keep == nullptr ? 0 : keep[r] * C[n]) + (add == nullptr ? 1 : add[r]) * values[r][n];
    }
}

constexpr int max_block_rows = 12;  // 12 x 2 sums leave registers for two vectors of B and the broadcast of A

using BlockFunction = void (*)(const Product&, int, int, int, int);
template <int Vectors, int... Index>
constexpr std::array<BlockFunction, sizeof...(Index)> block_functions(std::integer_sequence<int, Index...>) {
    return {product_block<Index + 1, Vectors>...};
}
template <int Vectors>
inline constexpr auto product_blocks =
    block_functions<Vectors>(std::make_integer_sequence<int, max_block_rows>{});

// Rows are split evenly: 17 rows run as 9 + 8, since a block of one row would cost as much time as one of
// eight.
inline void product(const Product& p) {
    const int blocks = (p.rows + max_block_rows - 1) / max_block_rows;
    for (int block = 0; block < blocks; ++block) {
        const int row = p.rows * block / blocks, rows = p.rows * (block + 1) / blocks - row;
        const int begin = p.causal == Causal::inner_from_row ? row : 0;
        const int end = p.causal == Causal::inner_up_to_row ? std::min(p.inner, row + rows) : p.inner;
        for (int column = 0; column < p.columns;) {
            const bool two = p.columns - column > lanes;
            const int next = column + (two ? 2 : 1) * lanes;
            if (p.causal != Causal::columns_from_row || next > row) {
                (two ? product_blocks<2> : product_blocks<1>)[rows - 1](p, row, column, begin, end);
            }
            column = next;
        }
    }
}

}  // namespace cpu::attention
