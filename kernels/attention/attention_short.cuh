// Attention over sequences of at most 32 tokens on tensor cores: a warp takes 16 or 32 rows and holds all of
// their scores in registers, so there is no online softmax, no second pass and no barrier. Sequences of up to
// 16, 8 or 4 tokens share the 16 rows, one, two or four at a time, R rows apart, and scores between different
// ones are masked: most of the products' results are then discarded, but the time is memory-bound (11 KB per
// head of 22 tokens and head_dim 64 forward, against 64 products of 16 x 8 x 16). For the same reason D =
// sum_j P_ij Z_ij dP_ij is computed from the scores, and `out` is not read.
//
// head_dim is a parameter of the loops, not of the template, since no accumulator spans it: results are
// stored 16 columns at a time, through the shared memory of an input that is no longer needed, so that rows
// are written as they are read, 16 bytes per lane.
//
// A number that is not finite spreads to the sequences that share its rows, as it would to the sum of their
// losses.
//
// ptxas budget of short_*: 168 registers, no spills
// ptxas budget of short_forward: 168 registers, no spills, 49 KiB of code, 16-byte loads
#pragma once

#include "kernels/attention/attention_fragments.cuh"
#include "kernels/common/launch.cuh"

namespace cuda::attention {

constexpr int short_length = 32, short_max_warps = 4;

// Parameters common to the warps of one launch.
struct ShortTiling {
    int columns;        // head_dim rounded up to 16
    int rows_per_pair;  // R: 4, 8, 16 or 32
    bool packed;
};

// The rows of a warp, 16 * m_tiles of them, and this lane's one of them.
template <int m_tiles>
class ShortRows {
  public:
    static constexpr int rows = 16 * m_tiles;

    // sequence_ids: null without dropout.
    __device__ ShortRows(const Shape& shape, const ShortTiling& tiling, const std::int64_t* sequence_ids)
        : heads_(shape.heads),
          head_dim_(shape.head_dim),
          columns_(tiling.columns),
          reciprocal_((65536 + columns_ / 8 - 1) / (columns_ / 8)),
          packed_(tiling.packed) {
        const int warp = static_cast<int>(threadIdx.x) / warp_size,
                  warps = static_cast<int>(blockDim.x) / warp_size, row = lane_index();
        const std::int64_t first_pair =
            (static_cast<std::int64_t>(blockIdx.x) * warps + warp) * (rows / tiling.rows_per_pair);
        const std::int64_t pair = first_pair + row / tiling.rows_per_pair;
        const int token = row % tiling.rows_per_pair;
        if (row < rows && pair < shape.pairs && token < shape.length) {
            const Head head(shape, pair);
            out_ = head.out_row(token);
            qkv_ = head.qkv_row(token);
            lse_ = head.lse_start + token;
            head_ = head.index;
            if (sequence_ids != nullptr) sequence_id_ = sequence_ids[head.sequence];
        }
    }

    // Index of this warp's row in log_sum_exp; negative if the row does not exist. All lanes together, as
    // below.
    __device__ std::int64_t lse_offset(int row) const { return __shfl_sync(all_lanes, lse_, row); }
    __device__ int head(int row) const { return __shfl_sync(all_lanes, head_, row); }
    __device__ std::int64_t sequence_id(int row) const { return __shfl_sync(all_lanes, sequence_id_, row); }

    // Part 0, 1 or 2 of qkv; or the rows of `out`.
    __device__ void load(bf16* tile, const bf16* qkv, int part) const {
        load_from(tile, qkv + static_cast<std::int64_t>(part) * heads_ * head_dim_, qkv_);
    }
    __device__ void load_out(bf16* tile, const bf16* out) const { load_from(tile, out, out_); }
    __device__ void store(bf16* qkv, const bf16* tile, int part) const {
        store_to(qkv + static_cast<std::int64_t>(part) * heads_ * head_dim_, tile, qkv_);
    }
    __device__ void store_out(bf16* out, const bf16* tile) const { store_to(out, tile, out_); }

  private:
    // Calls body(row, column) for this lane's groups of eight columns. n / (columns / 8) as a product: exact
    // for n < 4096.
    template <class Body>
    __device__ void for_each_chunk(Body body) const {
        const int chunks = columns_ / 8;
        for (int n = lane_index(); n < rows * chunks; n += warp_size) {
            const int row = n * reciprocal_ >> 16;
            body(row, 8 * (n - row * chunks));
        }
    }
    __device__ void load_from(bf16* tile, const bf16* source, std::int64_t offset_of_row) const {
        for_each_chunk([&](int row, int column) {
            const std::int64_t offset = __shfl_sync(all_lanes, offset_of_row, row);
            load_chunk(tile + row * row_stride_of(columns_), source + (offset < 0 ? 0 : offset), column,
                       head_dim_, offset >= 0, packed_);
        });
    }
    __device__ void store_to(bf16* target, const bf16* tile, std::int64_t offset_of_row) const {
        for_each_chunk([&](int row, int column) {
            const std::int64_t offset = __shfl_sync(all_lanes, offset_of_row, row);
            if (offset >= 0)
                store_chunk(target + offset, tile + row * row_stride_of(columns_), column, head_dim_,
                            packed_);
        });
    }

    std::int64_t out_ = -1, qkv_ = -1, lse_ = -1, sequence_id_ = 0;
    int head_ = 0, heads_, head_dim_, columns_, reciprocal_;
    bool packed_;
};

// s = rows of a times rows of b, each [16 m_tiles, columns]: s[m][n] holds rows 16 m.., columns 8 n.. .
template <int m_tiles>
__device__ void short_scores(Accumulator (&s)[m_tiles][2 * m_tiles], const bf16* a, const bf16* b,
                             int columns) {
    const int stride = row_stride_of(columns);
#pragma unroll
    for (int m = 0; m < m_tiles; ++m)
#pragma unroll
        for (int n = 0; n < 2 * m_tiles; ++n)
#pragma unroll
            for (int e = 0; e < 4; ++e) s[m][n][e] = 0;
#pragma unroll 2
    for (int k = 0; k < columns; k += 16) {
        FragmentA left[m_tiles];
#pragma unroll
        for (int m = 0; m < m_tiles; ++m) load_a(left[m], a, stride, 16 * m, k);
#pragma unroll
        for (int n = 0; n < m_tiles; ++n) {
            FragmentB right[2];
            load_b(right, b, stride, 16 * n, k);
#pragma unroll
            for (int m = 0; m < m_tiles; ++m) {
                mma_m16n8k16(s[m][2 * n], left[m], right[0]);
                mma_m16n8k16(s[m][2 * n + 1], left[m], right[1]);
            }
        }
    }
}

// target = weights times rows of b, [16 m_tiles, columns], each row times its factor; weights[m][k] are the
// rows 16 m.. and columns 16 k.. of the left factor. factor[m][half] belongs to row 16 m + 8 half + lane / 4.
template <int m_tiles>
__device__ void short_weighted_rows(bf16* target, const FragmentA (&weights)[m_tiles][m_tiles], const bf16* b,
                                    int columns, const float (&factor)[m_tiles][2]) {
    const int stride = row_stride_of(columns);
    for (int column = 0; column < columns; column += 16) {
        Accumulator sums[m_tiles][2] = {};
#pragma unroll
        for (int k = 0; k < m_tiles; ++k) {
            FragmentB right[2];
            load_b_transposed(right, b, stride, 16 * k, column);
#pragma unroll
            for (int m = 0; m < m_tiles; ++m) {
                mma_m16n8k16(sums[m][0], weights[m][k], right[0]);
                mma_m16n8k16(sums[m][1], weights[m][k], right[1]);
            }
        }
#pragma unroll
        for (int m = 0; m < m_tiles; ++m)
            store_results(target, stride, 16 * m, column, sums[m], factor[m][0], factor[m][1]);
    }
}

// Whether the row attends to the column, both counted within the warp's rows.
__device__ inline bool short_attends(const Shape& shape, const ShortTiling& tiling, int row, int column) {
    const int R = tiling.rows_per_pair;
    return (row & -R) == (column & -R) && (column & (R - 1)) < shape.length &&
           (!shape.causal || column <= row);
}

// Bit c: whether dropout keeps the weight of column c in `row`. The four lanes of a row call it together.
template <int m_tiles>
__device__ std::uint32_t short_kept(const Drops& drops, const Shape& shape, const ShortTiling& tiling,
                                    const ShortRows<m_tiles>& rows, int row) {
    const int R = tiling.rows_per_pair;
    const HeadDrops head_drops(drops, rows.sequence_id(row), rows.head(row), shape.length);
    const std::uint64_t bits = head_drops.kept_bits<16 * m_tiles, 4>(row & (R - 1), 0, lane_index() % 4);
    return static_cast<std::uint32_t>(bits) << (row & -R);
}

template <int m_tiles, bool has_dropout>
__global__ void __launch_bounds__(short_max_warps* warp_size, 1)
    short_forward(bf16* out, float* log_sum_exp, const bf16* qkv, Shape shape, Drops drops,
                  ShortTiling tiling, float scale) {
    wait_for_previous_kernel();
    SharedMemory shared;
    const int columns = tiling.columns, warp = static_cast<int>(threadIdx.x) / warp_size,
              warps = static_cast<int>(blockDim.x) / warp_size;
    const int elements = 16 * m_tiles * row_stride_of(columns);
    bf16* query = shared.take<bf16>(3 * warps * elements) + 3 * warp * elements;
    bf16 *key = query + elements, *value = key + elements;
    const ShortRows<m_tiles> rows(shape, tiling, has_dropout ? drops.sequence_ids : nullptr);
    rows.load(query, qkv, 0);
    rows.load(key, qkv, 1);
    rows.load(value, qkv, 2);
    copy_async_commit();
    copy_async_wait<0>();
    __syncwarp();

    Accumulator s[m_tiles][2 * m_tiles];
    short_scores<m_tiles>(s, query, key, columns);
    FragmentA weights[m_tiles][m_tiles];
    float factor[m_tiles][2];
    const int g = lane_index() / 4, t = lane_index() % 4;
    const float scale_log2 = scale * log2_e;
#pragma unroll
    for (int m = 0; m < m_tiles; ++m) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int row = 16 * m + 8 * half + g;
            float maximum = -INFINITY, sum = 0;
#pragma unroll
            for (int n = 0; n < 2 * m_tiles; ++n)
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                    float& score = s[m][n][2 * half + e];
                    if (!short_attends(shape, tiling, row, 8 * n + 2 * t + e)) score = -INFINITY;
                    maximum = fmaxf(maximum, score);
                }
            maximum = quad_max(maximum);
            std::uint32_t kept = 0;
            if constexpr (has_dropout) kept = short_kept<m_tiles>(drops, shape, tiling, rows, row);
#pragma unroll
            for (int n = 0; n < 2 * m_tiles; ++n)
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                    float& weight = s[m][n][2 * half + e];
                    weight = exp2_approximate((weight - maximum) * scale_log2);
                    sum += weight;
                    if constexpr (has_dropout) weight = kept >> (8 * n + 2 * t + e) & 1u ? weight : 0.0f;
                }
            sum = quad_sum(sum);
            factor[m][half] = (has_dropout ? drops.kept : 1.0f) / sum;
            const std::int64_t lse_offset = rows.lse_offset(row);
            if (t == 0 && lse_offset >= 0) log_sum_exp[lse_offset] = maximum * scale + logf(sum);
        }
#pragma unroll
        for (int k = 0; k < m_tiles; ++k) as_a(weights[m][k], s[m][2 * k], s[m][2 * k + 1]);
    }
    __syncwarp();  // every lane has read its queries: their memory is reused for the result
    short_weighted_rows<m_tiles>(query, weights, value, columns, factor);
    __syncwarp();
    rows.store_out(out, query);
}

// weights = Z P and d_scores = P (Z (dout . v) - D), from the scores and from dout . v.
template <int m_tiles, bool has_dropout>
__device__ void short_score_gradients(Accumulator (&weights)[m_tiles][2 * m_tiles],
                                      Accumulator (&d_scores)[m_tiles][2 * m_tiles], const float* log_sum_exp,
                                      const Shape& shape, const Drops& drops, const ShortTiling& tiling,
                                      const ShortRows<m_tiles>& rows, float scale) {
    const int g = lane_index() / 4, t = lane_index() % 4;
#pragma unroll
    for (int m = 0; m < m_tiles; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int row = 16 * m + 8 * half + g;
            const std::int64_t lse_offset = rows.lse_offset(row);
            const float lse_log2 = lse_offset >= 0 ? log_sum_exp[lse_offset] * log2_e : INFINITY;
            std::uint32_t kept = 0;
            if constexpr (has_dropout) kept = short_kept<m_tiles>(drops, shape, tiling, rows, row);
            float sum = 0;
#pragma unroll
            for (int n = 0; n < 2 * m_tiles; ++n)
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                    const int column = 8 * n + 2 * t + e;
                    float &p = weights[m][n][2 * half + e], &d_p = d_scores[m][n][2 * half + e];
                    p = short_attends(shape, tiling, row, column)
                            ? exp2_approximate(p * (scale * log2_e) - lse_log2)
                            : 0.0f;
                    if constexpr (has_dropout) d_p = kept >> column & 1u ? drops.kept * d_p : 0.0f;
                    if (p == 0) d_p = 0;
                    sum += p * d_p;
                }
            sum = quad_sum(sum);
#pragma unroll
            for (int n = 0; n < 2 * m_tiles; ++n)
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                    float &p = weights[m][n][2 * half + e], &d_p = d_scores[m][n][2 * half + e];
                    d_p = p * (d_p - sum);
                    if constexpr (has_dropout) p = kept >> (8 * n + 2 * t + e) & 1u ? drops.kept * p : 0.0f;
                }
        }
}

// left = the transpose of scores, through shared memory [rows, rows].
template <int m_tiles>
__device__ void short_transpose(FragmentA (&left)[m_tiles][m_tiles], bf16* room,
                                const Accumulator (&scores)[m_tiles][2 * m_tiles]) {
    constexpr int stride = row_stride_of(16 * m_tiles);
    __syncwarp();
#pragma unroll
    for (int m = 0; m < m_tiles; ++m)
#pragma unroll
        for (int k = 0; k < m_tiles; ++k) {
            const Accumulator both[2] = {
                {scores[m][2 * k][0], scores[m][2 * k][1], scores[m][2 * k][2], scores[m][2 * k][3]},
                {scores[m][2 * k + 1][0], scores[m][2 * k + 1][1], scores[m][2 * k + 1][2],
                 scores[m][2 * k + 1][3]}};
            store_results(room, stride, 16 * m, 16 * k, both, 1.0f, 1.0f);
        }
    __syncwarp();
#pragma unroll
    for (int m = 0; m < m_tiles; ++m)
#pragma unroll
        for (int k = 0; k < m_tiles; ++k) load_a_transposed(left[m][k], room, stride, 16 * k, 16 * m);
}

template <int m_tiles, bool has_dropout>
__global__ void __launch_bounds__(short_max_warps* warp_size, 1)
    short_backward(bf16* d_qkv, const bf16* d_out, const float* log_sum_exp, const bf16* qkv, Shape shape,
                   Drops drops, ShortTiling tiling, float scale) {
    wait_for_previous_kernel();
    SharedMemory shared;
    const int columns = tiling.columns, warp = static_cast<int>(threadIdx.x) / warp_size,
              warps = static_cast<int>(blockDim.x) / warp_size;
    const int elements = 16 * m_tiles * row_stride_of(columns);
    constexpr int score_elements = 16 * m_tiles * row_stride_of(16 * m_tiles);
    bf16* query = shared.take<bf16>(4 * warps * elements) + 4 * warp * elements;
    bf16 *key = query + elements, *value = key + elements, *gradient = value + elements;
    bf16* room = shared.take<bf16>(warps * score_elements) + warp * score_elements;
    const ShortRows<m_tiles> rows(shape, tiling, has_dropout ? drops.sequence_ids : nullptr);
    rows.load(query, qkv, 0);
    rows.load(key, qkv, 1);
    rows.load(value, qkv, 2);
    rows.load_out(gradient, d_out);
    copy_async_commit();
    copy_async_wait<0>();
    __syncwarp();

    Accumulator weights[m_tiles][2 * m_tiles], d_scores[m_tiles][2 * m_tiles];
    short_scores<m_tiles>(weights, query, key, columns);
    short_scores<m_tiles>(d_scores, gradient, value, columns);
    short_score_gradients<m_tiles, has_dropout>(weights, d_scores, log_sum_exp, shape, drops, tiling, rows,
                                                scale);
    float one[m_tiles][2], scales[m_tiles][2];
#pragma unroll
    for (int m = 0; m < m_tiles; ++m) {
        one[m][0] = one[m][1] = 1;
        scales[m][0] = scales[m][1] = scale;
    }
    // dv replaces v, then dk replaces dout, then dq replaces q: each when the other is no longer needed.
    FragmentA left[m_tiles][m_tiles];
    short_transpose<m_tiles>(left, room, weights);
    short_weighted_rows<m_tiles>(value, left, gradient, columns, one);
    short_transpose<m_tiles>(left, room, d_scores);
    short_weighted_rows<m_tiles>(gradient, left, query, columns, scales);
    __syncwarp();
#pragma unroll
    for (int m = 0; m < m_tiles; ++m)
#pragma unroll
        for (int k = 0; k < m_tiles; ++k) as_a(left[m][k], d_scores[m][2 * k], d_scores[m][2 * k + 1]);
    short_weighted_rows<m_tiles>(query, left, key, columns, scales);
    __syncwarp();
    rows.store(d_qkv, query, 0);
    rows.store(d_qkv, gradient, 1);
    rows.store(d_qkv, value, 2);
}

// The grid, block and shared memory of a short kernel that keeps `tiles` tiles of rows and, for backward, one
// of scores. A block has the warps that fit the shared memory every device gives, at most 4.
struct ShortLaunch {
    ShortTiling tiling;
    unsigned blocks;
    int warps;
    std::size_t bytes;

    ShortLaunch(const Shape& shape, int m_tiles, int tiles, int score_tiles, bool packed)
        : tiling{(shape.head_dim + 15) / 16 * 16, 4, packed}, warps(short_max_warps) {
        while (tiling.rows_per_pair < shape.length) tiling.rows_per_pair *= 2;
        const int rows = 16 * m_tiles;
        const auto shared = [&](int n) {
            return shared_array_bytes(n * tiles * tile_elements(rows, tiling.columns) * sizeof(bf16)) +
                   shared_array_bytes(n * score_tiles * tile_elements(rows, rows) * sizeof(bf16));
        };
        while (warps > 1 && shared(warps) > default_shared_bytes) warps /= 2;
        bytes = shared(warps);
        blocks = blocks_for(shape.pairs, static_cast<std::int64_t>(warps) * (rows / tiling.rows_per_pair));
    }
};

template <int m_tiles, bool has_dropout>
void launch_short_forward(Stream stream, bf16* out, float* log_sum_exp, const bf16* qkv, const Shape& shape,
                          const Drops& drops) {
    const ShortLaunch how(shape, m_tiles, 3, 0, packed_rows(shape, {out, qkv}));
    launch(short_forward<m_tiles, has_dropout>, how.blocks, how.warps * warp_size, how.bytes, stream, out,
           log_sum_exp, qkv, shape, drops, how.tiling, shape.scale());
}

template <int m_tiles, bool has_dropout>
void launch_short_backward(Stream stream, bf16* d_qkv, const bf16* d_out, const float* log_sum_exp,
                           const bf16* qkv, const Shape& shape, const Drops& drops) {
    const ShortLaunch how(shape, m_tiles, 4, 1, packed_rows(shape, {d_qkv, d_out, qkv}));
    launch(short_backward<m_tiles, has_dropout>, how.blocks, how.warps * warp_size, how.bytes, stream, d_qkv,
           d_out, log_sum_exp, qkv, shape, drops, how.tiling, shape.scale());
}

}  // namespace cuda::attention
