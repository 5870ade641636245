// The pieces that the attention kernels are made of: a register-blocked product of small tiles and the sum
// over the lanes of 16 vectors. All data lie in L1 or L2 when they are called, so they are bound by
// arithmetic: one multiply-add of `product` handles a register of columns, and each value loaded is used by up
// to 12 rows.
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

// The first half of `rows` becomes sums of pairs (2 i, 2 i + 1), which differ in one bit of the lane; and so on,
// until each lane is the sum of one row.
template <int Bit = 1>
void add_lanes(Register (&rows)[lanes]) {
#pragma GCC unroll 16
    for (int i = 0; i < lanes / (2 * Bit); ++i) {
        Register a = rows[2 * i], b = rows[2 * i + 1];
        exchange<Bit>(a, b);
        rows[i] = a + b;
    }
    if constexpr (2 * Bit < register_lanes) add_lanes<2 * Bit>(rows);
}

// Lane r of `sum` becomes the sum of all lanes of rows[r]: 30 shuffles and 15 additions with AVX-512.
inline void sum_lanes(Vector& sum, const Vector (&rows)[lanes]) {
    Register partial[lanes];
    for (int r = 0; r < lanes; ++r) {
        partial[r] = rows[r].part[0];
        for (int i = 1; i < vector_registers; ++i) partial[r] += rows[r].part[i];
    }
    add_lanes(partial);
    for (int i = 0; i < vector_registers; ++i) sum.part[i] = partial[i];
}

// Every lane becomes the sum, or the maximum, of all lanes.
template <int Bit = register_lanes / 2, class Combine>
void combine_lanes(Register& v, const Combine& combine) {
    v = combine(v, swapped<Bit>(v));
    if constexpr (Bit > 1) combine_lanes<Bit / 2>(v, combine);
}
template <class Combine>
void combine_all_lanes(Vector& v, const Combine& combine) {
    Register all = v.part[0];
    for (int i = 1; i < vector_registers; ++i) all = combine(all, v.part[i]);
    combine_lanes(all, combine);
    for (Register& part : v.part) part = all;
}
inline void sum_in_every_lane(Vector& v) {
    combine_all_lanes(v, [](Register a, Register b) { return a + b; });
}
inline void maximum_in_every_lane(Vector& v) {
    combine_all_lanes(v, [](Register a, Register b) { return maximum(a, b); });
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

// One block of accumulators: Rows x Registers of them, sums over inner_begin <= k < inner_end.
template <int Rows, int Registers>
void product_block(const Product& p, int row, int column, int inner_begin, int inner_end) {
    Register sum[Rows][Registers] = {};
    const std::int64_t row_stride = p.A.row_stride;
    const float* A = p.A.start + row * row_stride + inner_begin * p.A.inner_stride;
    const float* B = p.B.start + inner_begin * p.B.stride + column;
    for (int k = inner_begin; k < inner_end; ++k, A += p.A.inner_stride, B += p.B.stride) {
        Register b[Registers];
        for (int v = 0; v < Registers; ++v) b[v] = load_register(B + v * register_lanes);
        for (int r = 0; r < Rows; ++r) {
            const float a = A[r * row_stride];
            for (int v = 0; v < Registers; ++v) sum[r][v] += a * b[v];
        }
    }
    float* C = p.C.start + row * p.C.stride + column;
    const float* keep = p.keep == nullptr ? nullptr : p.keep + row;
    const float* add = p.add == nullptr ? nullptr : p.add + row;
    if (p.columns - column >= Registers * register_lanes) {
#pragma GCC unroll 12
        for (int r = 0; r < Rows; ++r, C += p.C.stride) {
            for (int v = 0; v < Registers; ++v) {
                if (add != nullptr) sum[r][v] *= add[r];
                if (keep != nullptr) sum[r][v] += keep[r] * load_register(C + v * register_lanes);
                store_register(C + v * register_lanes, sum[r][v]);
            }
        }
    } else {
        float values[Rows][Registers * register_lanes];
        for (int r = 0; r < Rows; ++r)
            for (int v = 0; v < Registers; ++v) store_register(&values[r][v * register_lanes], sum[r][v]);
        for (int r = 0; r < Rows; ++r, C += p.C.stride)
            for (int n = 0; n < p.columns - column; ++n)
                C[n] = (keep == nullptr ? 0 : keep[r] * C[n]) + (add == nullptr ? 1 : add[r]) * values[r][n];
    }
}

// 12 x 2 sums, or 6 x 2, leave registers for two of B and the broadcast of A.
constexpr int max_block_rows = register_count * 3 / 8;

using BlockFunction = void (*)(const Product&, int, int, int, int);
template <int Registers, int... Index>
constexpr std::array<BlockFunction, sizeof...(Index)> block_functions(std::integer_sequence<int, Index...>) {
    return {product_block<Index + 1, Registers>...};
}
template <int Registers>
inline constexpr auto product_blocks =
    block_functions<Registers>(std::make_integer_sequence<int, max_block_rows>{});

// Rows are split evenly: with AVX-512 17 rows run as 9 + 8, since a block of one row would cost as much time as one of
// eight.
inline void product(const Product& p) {
    const int blocks = (p.rows + max_block_rows - 1) / max_block_rows;
    for (int block = 0; block < blocks; ++block) {
        const int row = p.rows * block / blocks, rows = p.rows * (block + 1) / blocks - row;
        const int begin = p.causal == Causal::inner_from_row ? row : 0;
        const int end = p.causal == Causal::inner_up_to_row ? std::min(p.inner, row + rows) : p.inner;
        for (int column = 0; column < p.columns;) {
            const bool two = p.columns - column > register_lanes;
            const int next = column + (two ? 2 : 1) * register_lanes;
            if (p.causal != Causal::columns_from_row || next > row) {
                (two ? product_blocks<2> : product_blocks<1>)[rows - 1](p, row, column, begin, end);
            }
            column = next;
        }
    }
}

}  // namespace cpu::attention
