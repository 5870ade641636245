// Attention without tensor cores, in float throughout, for every shape of the contract: for T = float, and
// for the shapes that the tensor-core paths do not cover (bf16 with head_dim 1 or above 128).
//
// A block of 128 threads holds tiles of 32 rows (16 if head_dim > 112, so that the six of a backward block
// fit 99 KiB) of q, k, v ... as float in shared memory, and every product is the same loop over tiles
// (`multiply`), 2 x 4 results per thread. The row stride is an odd number of floats, so that both rows and
// columns can be read without bank conflicts. Accumulators are in shared memory too: that costs bandwidth
// there, but one kernel serves every head_dim.
//
// Sequences that fit a tile share it: rows 0..R-1 are one pair, R..2R-1 the next, R the power of two that
// holds a sequence; products and softmax stay within a pair.
//
// Backward runs twice: blocks of key tiles pass over the queries for dk and dv, blocks of query tiles over
// the keys for dq. Scores are computed in both, 7 products of tiles instead of 5; with sums across blocks
// instead, their order would change from run to run.
//
// ptxas budget of plain_*: 128 registers, no spills, 66 KiB of code
// ptxas budget of plain_backward_*: 128 registers, no spills, 88 KiB of code
#pragma once

#include "kernels/attention/attention_head.cuh"
#include "kernels/common/launch.cuh"

namespace cuda::attention {

constexpr int plain_threads = 128, plain_warps = plain_threads / warp_size;

// Parameters common to the blocks of one launch.
struct PlainTiling {
    int rows;           // of a tile
    int rows_per_pair;  // R; `rows` where a pair takes whole tiles
    int tiles;          // of a pair, 1 where pairs share a tile
    int row_stride;     // floats from row to row of a [rows, head_dim] tile

    explicit PlainTiling(const Shape& shape)
        : rows(shape.head_dim > 112 ? 16 : 32),
          rows_per_pair(4),
          tiles((shape.length + rows - 1) / rows),
          row_stride(shape.head_dim | 1) {
        while (rows_per_pair < rows && rows_per_pair < shape.length) rows_per_pair *= 2;
    }
    unsigned blocks(const Shape& shape) const {
        const std::int64_t pairs_per_block = rows / rows_per_pair;
        return blocks_for((shape.pairs + pairs_per_block - 1) / pairs_per_block * tiles, 1);
    }
    constexpr std::size_t row_tile_floats() const { return static_cast<std::size_t>(rows * row_stride); }
    constexpr std::size_t score_tile_floats() const { return static_cast<std::size_t>(rows * (rows + 1)); }
    std::size_t shared_bytes(int row_tiles, int score_tiles, int vectors) const {
        return row_tiles * shared_array_bytes(row_tile_floats() * sizeof(float)) +
               score_tiles * shared_array_bytes(score_tile_floats() * sizeof(float)) +
               vectors * shared_array_bytes(rows * sizeof(float));
    }
    constexpr int score_stride() const { return rows + 1; }
};

// The rows of one tile: pair and token of each.
struct PlainRows {
    std::int64_t first_pair, pairs;
    int first_token, rows_per_pair, length;
    __device__ std::int64_t pair(int row) const { return first_pair + row / rows_per_pair; }
    __device__ int token(int row) const { return first_token + row % rows_per_pair; }
    __device__ bool exists(int row) const { return token(row) < length && pair(row) < pairs; }
};

// The tiles of a block: blockIdx.x counts the tiles of a pair (or of the pairs that share one) first.
__device__ inline PlainRows plain_rows(const PlainTiling& tiling, const Shape& shape, int tile) {
    const std::int64_t group = blockIdx.x / tiling.tiles;
    return {group * (tiling.rows / tiling.rows_per_pair), shape.pairs, tile * tiling.rows,
            tiling.rows_per_pair, shape.length};
}

// Layout of a pair's rows in an array: part 0, 1, 2 of qkv, or `whole_rows` in [S, L, H, d].
constexpr int whole_rows = -1;
__device__ inline std::int64_t row_offset(const Shape& shape, const PlainRows& rows, int row, int part) {
    const Head head(shape, rows.pair(row));
    if (part == whole_rows) return head.out_row(rows.token(row));
    return head.qkv_row(rows.token(row)) + part * head.out_stride;
}

// Rows to shared memory as float, zeros where there is none; a warp takes a row.
template <class T>
__device__ void load_plain(float* tile, const T* source, const PlainTiling& tiling, const Shape& shape,
                           const PlainRows& rows, int part) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    for (int row = static_cast<int>(threadIdx.x) / warp_size; row < tiling.rows; row += plain_warps) {
        const bool exists = rows.exists(row);
        const T* from = exists ? source + row_offset(shape, rows, row, part) : source;
        for (int c = lane; c < shape.head_dim; c += warp_size)
            tile[row * tiling.row_stride + c] = exists ? to_float(from[c]) : 0.0f;
    }
}

// target row = tile row * factor, or / divisor[row] where there are divisors.
template <class T>
__device__ void store_plain(T* target, const float* tile, const PlainTiling& tiling, const Shape& shape,
                            const PlainRows& rows, int part, float factor, const float* divisors) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    for (int row = static_cast<int>(threadIdx.x) / warp_size; row < tiling.rows; row += plain_warps) {
        if (!rows.exists(row)) continue;
        T* to = target + row_offset(shape, rows, row, part);
        const float by = divisors == nullptr ? factor : factor / divisors[row];
        for (int c = lane; c < shape.head_dim; c += warp_size)
            to[c] = as<T>(tile[row * tiling.row_stride + c] * by);
    }
}

// A matrix in shared memory: element (i, j) at start[i * row + j * column].
template <class Float>
struct PlainView {
    Float* start;
    int row, column;
    __device__ Float& at(int i, int j) const { return start[i * row + j * column]; }
};
using ConstView = PlainView<const float>;

// c (i, j) = keep[i] c (i, j) + sum_k a (i, k) b (k, j) for i < rows, j < columns; a null `keep` is 1 for
// every row, or 0 if `overwrite`. Only those results and terms count whose rows, columns and k are numbers of
// the same pair: where columns or k are tokens (`_tokens`), they run within the pair of row i.
struct Extent {
    int rows, columns, inner, rows_per_pair;
    bool column_tokens, inner_tokens, overwrite;
};
__device__ inline void multiply(PlainView<float> c, ConstView a, ConstView b, const Extent& extent,
                                const float* keep) {
    constexpr int M = 2, N = 4;  // results of a thread; a pair has at least 4 rows
    const int row_tiles = extent.rows / M, column_tiles = (extent.columns + N - 1) / N;
    for (int tile = static_cast<int>(threadIdx.x); tile < row_tiles * column_tiles; tile += plain_threads) {
        const int i = tile % row_tiles * M, j = tile / row_tiles * N;
        const int pair_start = i / extent.rows_per_pair * extent.rows_per_pair;
        if (extent.column_tokens && (j < pair_start || j >= pair_start + extent.rows_per_pair)) continue;
        const int first = extent.inner_tokens ? pair_start : 0;
        const int end = extent.inner_tokens ? pair_start + extent.rows_per_pair : extent.inner;
        float sums[M][N] = {};
        for (int k = first; k < end; ++k) {
            float left[M], right[N];
#pragma unroll
            for (int m = 0; m < M; ++m) left[m] = a.at(i + m, k);
#pragma unroll
            for (int n = 0; n < N; ++n) right[n] = b.at(k, min(j + n, extent.columns - 1));
#pragma unroll
            for (int m = 0; m < M; ++m)
#pragma unroll
                for (int n = 0; n < N; ++n) sums[m][n] += left[m] * right[n];
        }
#pragma unroll
        for (int m = 0; m < M; ++m)
#pragma unroll
            for (int n = 0; n < N; ++n)
                if (j + n < extent.columns) {
                    float& result = c.at(i + m, j + n);
                    if (extent.overwrite)
                        result = sums[m][n];
                    else
                        result = (keep == nullptr ? result : keep[i + m] * result) + sums[m][n];
                }
    }
}

// Whether row `query` of the one tile attends to row `key`, of the same pair, of the other.
__device__ inline bool attends(const Shape& shape, const PlainRows& queries, int query, const PlainRows& keys,
                               int key) {
    return keys.token(key) < shape.length && (!shape.causal || keys.token(key) <= queries.token(query));
}

// scores -> weights Z exp(score - maximum), the new maximum and sum of each query, and keep, by which its
// output so far has to be multiplied. Four lanes take a row.
template <bool has_dropout>
__device__ void plain_softmax(float* scores, float* maximum, float* sum, float* keep,
                              const PlainTiling& tiling, const Shape& shape, const Drops& drops,
                              const PlainRows& queries, const PlainRows& keys, float scale) {
    const int row = static_cast<int>(threadIdx.x) / 4, member = static_cast<int>(threadIdx.x) % 4;
    if (row >= tiling.rows) return;  // whole warps
    const int first = row / tiling.rows_per_pair * tiling.rows_per_pair, end = first + tiling.rows_per_pair;
    float* row_scores = scores + row * tiling.score_stride();
    const float old_maximum = maximum[row];
    float new_maximum = old_maximum;
    for (int j = first + member; j < end; j += 4) {
        const float score = attends(shape, queries, row, keys, j) ? row_scores[j] * scale : -INFINITY;
        row_scores[j] = score;
        new_maximum = fmaxf(new_maximum, score);
    }
    for (int distance = 1; distance < 4; distance *= 2)
        new_maximum = fmaxf(new_maximum, __shfl_xor_sync(all_lanes, new_maximum, distance));
    // The first key of a pair is seen by every query, so that only rows of no pair could lack a maximum.
    const bool drop = has_dropout && queries.exists(row);
    const Head head(shape, drop ? queries.pair(row) : 0);
    const HeadDrops head_drops(drops, shape, head, drop);
    float new_sum = 0;
    for (int j = first + member; j < end; j += 4) {
        const float weight = expf(row_scores[j] - new_maximum);
        new_sum += weight;
        row_scores[j] =
            drop && weight > 0 ? weight * head_drops.factor(queries.token(row), keys.token(j)) : weight;
    }
    for (int distance = 1; distance < 4; distance *= 2)
        new_sum += __shfl_xor_sync(all_lanes, new_sum, distance);
    __syncwarp();  // shuffles order no memory: the row's other lanes have read its maximum
    if (member == 0) {
        keep[row] = expf(old_maximum - new_maximum);
        sum[row] = sum[row] * keep[row] + new_sum;
        maximum[row] = new_maximum;
    }
}

template <class T, bool has_dropout>
__global__ void __launch_bounds__(plain_threads, 1)
    plain_forward(T* out, float* log_sum_exp, const T* qkv, Shape shape, Drops drops, PlainTiling tiling,
                  float scale) {
    wait_for_previous_kernel();
    SharedMemory shared;
    float* query = shared.take<float>(tiling.row_tile_floats());
    float* key = shared.take<float>(tiling.row_tile_floats());
    float* value = shared.take<float>(tiling.row_tile_floats());
    float* result = shared.take<float>(tiling.row_tile_floats());
    float* scores = shared.take<float>(tiling.score_tile_floats());
    float* maximum = shared.take<float>(tiling.rows);
    float* sum = shared.take<float>(tiling.rows);
    float* keep = shared.take<float>(tiling.rows);
    const int tile = static_cast<int>(blockIdx.x) % tiling.tiles, d = shape.head_dim, thread = threadIdx.x;
    const PlainRows queries = plain_rows(tiling, shape, tile);

    load_plain(query, qkv, tiling, shape, queries, 0);
    if (thread < tiling.rows) {
        maximum[thread] = -INFINITY;
        sum[thread] = 0;
    }
    for (int other = 0; other < (shape.causal ? tile + 1 : tiling.tiles); ++other) {
        const PlainRows keys = plain_rows(tiling, shape, other);
        load_plain(key, qkv, tiling, shape, keys, 1);
        load_plain(value, qkv, tiling, shape, keys, 2);
        __syncthreads();
        multiply({scores, tiling.score_stride(), 1}, {query, tiling.row_stride, 1},
                 {key, 1, tiling.row_stride},
                 {tiling.rows, tiling.rows, d, tiling.rows_per_pair, true, false, true}, nullptr);
        __syncthreads();
        plain_softmax<has_dropout>(scores, maximum, sum, keep, tiling, shape, drops, queries, keys, scale);
        __syncthreads();
        multiply({result, tiling.row_stride, 1}, {scores, tiling.score_stride(), 1},
                 {value, tiling.row_stride, 1},
                 {tiling.rows, d, tiling.rows, tiling.rows_per_pair, false, true, other == 0}, keep);
        __syncthreads();
    }
    store_plain(out, result, tiling, shape, queries, whole_rows, 1.0f, sum);
    if (thread < tiling.rows && queries.exists(thread))
        log_sum_exp[queries.pair(thread) * shape.length + queries.token(thread)] =
            maximum[thread] + logf(sum[thread]);
}

// Shared memory of both backward kernels, besides their accumulators.
struct PlainBackward {
    float *query, *key, *value, *d_out, *weights, *d_scores, *log_sum_exp, *out_dot_d_out;
    __device__ PlainBackward(SharedMemory& shared, const PlainTiling& tiling)
        : query(shared.take<float>(tiling.row_tile_floats())),
          key(shared.take<float>(tiling.row_tile_floats())),
          value(shared.take<float>(tiling.row_tile_floats())),
          d_out(shared.take<float>(tiling.row_tile_floats())),
          weights(shared.take<float>(tiling.score_tile_floats())),
          d_scores(shared.take<float>(tiling.score_tile_floats())),
          log_sum_exp(shared.take<float>(tiling.rows)),
          out_dot_d_out(shared.take<float>(tiling.rows)) {}
};
constexpr int plain_backward_tiles = 4, plain_backward_score_tiles = 2, plain_backward_vectors = 2;

template <class T>
struct PlainInputs {
    const T *d_out, *out;
    const float* log_sum_exp;
    const T* qkv;
};

// q, dout, lse and D = dout . out of a tile of queries. P becomes 0 where there is no query: lse is infinite.
template <class T>
__device__ void load_plain_queries(const PlainBackward& tiles, const PlainInputs<T>& inputs,
                                   const PlainTiling& tiling, const Shape& shape, const PlainRows& rows) {
    load_plain(tiles.query, inputs.qkv, tiling, shape, rows, 0);
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    for (int row = static_cast<int>(threadIdx.x) / warp_size; row < tiling.rows; row += plain_warps) {
        const bool exists = rows.exists(row);
        const std::int64_t offset = exists ? row_offset(shape, rows, row, whole_rows) : 0;
        float dot = 0;
        for (int c = lane; c < shape.head_dim; c += warp_size) {
            const float gradient = exists ? to_float(inputs.d_out[offset + c]) : 0.0f;
            if (exists) dot += gradient * to_float(inputs.out[offset + c]);
            tiles.d_out[row * tiling.row_stride + c] = gradient;
        }
        dot = warp_sum(dot);
        if (lane == 0) {
            tiles.out_dot_d_out[row] = dot;
            tiles.log_sum_exp[row] =
                exists ? inputs.log_sum_exp[rows.pair(row) * shape.length + rows.token(row)] : INFINITY;
        }
    }
}

// weights = Z P and d_scores = P (Z (dout . v) - D) of the tiles in shared memory.
template <bool has_dropout>
__device__ void plain_score_gradients(const PlainBackward& tiles, const PlainTiling& tiling,
                                      const Shape& shape, const Drops& drops, const PlainRows& queries,
                                      const PlainRows& keys, float scale) {
    const int rows = tiling.rows, d = shape.head_dim, R = tiling.rows_per_pair;
    multiply({tiles.weights, tiling.score_stride(), 1}, {tiles.query, tiling.row_stride, 1},
             {tiles.key, 1, tiling.row_stride}, {rows, rows, d, R, true, false, true}, nullptr);
    multiply({tiles.d_scores, tiling.score_stride(), 1}, {tiles.d_out, tiling.row_stride, 1},
             {tiles.value, 1, tiling.row_stride}, {rows, rows, d, R, true, false, true}, nullptr);
    __syncthreads();
    for (int n = static_cast<int>(threadIdx.x); n < rows * R; n += plain_threads) {
        const int i = n / R, j = i / R * R + n % R;
        float &weight = tiles.weights[i * tiling.score_stride() + j],
              &d_score = tiles.d_scores[i * tiling.score_stride() + j];
        float p = 0, z = 1;
        if (queries.exists(i) && attends(shape, queries, i, keys, j)) {
            p = expf(weight * scale - tiles.log_sum_exp[i]);
            if constexpr (has_dropout)
                z = HeadDrops(drops, shape, Head(shape, queries.pair(i)), true)
                        .factor(queries.token(i), keys.token(j));
        }
        weight = z * p;
        d_score = p == 0 ? 0.0f : p * (z * d_score - tiles.out_dot_d_out[i]);
    }
    __syncthreads();
}

// dk and dv of a tile of keys.
template <class T, bool has_dropout>
__global__ void __launch_bounds__(plain_threads, 1)
    plain_backward_keys(T* d_qkv, const T* d_out, const T* out, const float* log_sum_exp, const T* qkv,
                        Shape shape, Drops drops, PlainTiling tiling, float scale) {
    wait_for_previous_kernel();
    SharedMemory shared;
    const PlainBackward tiles(shared, tiling);
    float* d_key = shared.take<float>(tiling.row_tile_floats());
    float* d_value = shared.take<float>(tiling.row_tile_floats());
    const int tile = static_cast<int>(blockIdx.x) % tiling.tiles;
    const PlainRows keys = plain_rows(tiling, shape, tile);
    const Extent extent{tiling.rows, shape.head_dim, tiling.rows, tiling.rows_per_pair, false, true, false};
    const ConstView weights_transposed{tiles.weights, 1, tiling.score_stride()},
        d_scores_transposed{tiles.d_scores, 1, tiling.score_stride()};

    load_plain(tiles.key, qkv, tiling, shape, keys, 1);
    load_plain(tiles.value, qkv, tiling, shape, keys, 2);
    for (int other = shape.causal ? tile : 0, first = other; other < tiling.tiles; ++other) {
        const PlainRows queries = plain_rows(tiling, shape, other);
        load_plain_queries(tiles, PlainInputs<T>{d_out, out, log_sum_exp, qkv}, tiling, shape, queries);
        __syncthreads();
        plain_score_gradients<has_dropout>(tiles, tiling, shape, drops, queries, keys, scale);
        Extent sum = extent;
        sum.overwrite = other == first;
        multiply({d_value, tiling.row_stride, 1}, weights_transposed, {tiles.d_out, tiling.row_stride, 1},
                 sum, nullptr);
        multiply({d_key, tiling.row_stride, 1}, d_scores_transposed, {tiles.query, tiling.row_stride, 1}, sum,
                 nullptr);
        __syncthreads();
    }
    store_plain(d_qkv, d_key, tiling, shape, keys, 1, scale, nullptr);
    store_plain(d_qkv, d_value, tiling, shape, keys, 2, 1.0f, nullptr);
}

// dq of a tile of queries.
template <class T, bool has_dropout>
__global__ void __launch_bounds__(plain_threads, 1)
    plain_backward_queries(T* d_qkv, const T* d_out, const T* out, const float* log_sum_exp, const T* qkv,
                           Shape shape, Drops drops, PlainTiling tiling, float scale) {
    wait_for_previous_kernel();
    SharedMemory shared;
    const PlainBackward tiles(shared, tiling);
    float* d_query = shared.take<float>(tiling.row_tile_floats());
    const int tile = static_cast<int>(blockIdx.x) % tiling.tiles;
    const PlainRows queries = plain_rows(tiling, shape, tile);

    load_plain_queries(tiles, PlainInputs<T>{d_out, out, log_sum_exp, qkv}, tiling, shape, queries);
    for (int other = 0; other < (shape.causal ? tile + 1 : tiling.tiles); ++other) {
        const PlainRows keys = plain_rows(tiling, shape, other);
        load_plain(tiles.key, qkv, tiling, shape, keys, 1);
        load_plain(tiles.value, qkv, tiling, shape, keys, 2);
        __syncthreads();
        plain_score_gradients<has_dropout>(tiles, tiling, shape, drops, queries, keys, scale);
        multiply({d_query, tiling.row_stride, 1}, {tiles.d_scores, tiling.score_stride(), 1},
                 {tiles.key, tiling.row_stride, 1},
                 {tiling.rows, shape.head_dim, tiling.rows, tiling.rows_per_pair, false, true, other == 0},
                 nullptr);
        __syncthreads();
    }
    store_plain(d_qkv, d_query, tiling, shape, queries, 0, scale, nullptr);
}

template <class T, bool has_dropout>
void launch_plain_forward(Stream stream, T* out, float* log_sum_exp, const T* qkv, const Shape& shape,
                          const Drops& drops) {
    const PlainTiling tiling(shape);
    launch(plain_forward<T, has_dropout>, tiling.blocks(shape), plain_threads, tiling.shared_bytes(4, 1, 3),
           stream, out, log_sum_exp, qkv, shape, drops, tiling, shape.scale());
}

template <class T, bool has_dropout>
void launch_plain_backward(Stream stream, T* d_qkv, const T* d_out, const T* out, const float* log_sum_exp,
                           const T* qkv, const Shape& shape, const Drops& drops) {
    const PlainTiling tiling(shape);
    const auto bytes = [&](int accumulators) {
        return tiling.shared_bytes(plain_backward_tiles + accumulators, plain_backward_score_tiles,
                                   plain_backward_vectors);
    };
    launch(plain_backward_keys<T, has_dropout>, tiling.blocks(shape), plain_threads, bytes(2), stream, d_qkv,
           d_out, out, log_sum_exp, qkv, shape, drops, tiling, shape.scale());
    launch(plain_backward_queries<T, has_dropout>, tiling.blocks(shape), plain_threads, bytes(1), stream,
           d_qkv, d_out, out, log_sum_exp, qkv, shape, drops, tiling, shape.scale());
}

}  // namespace cuda::attention
