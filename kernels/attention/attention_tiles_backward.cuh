// Attention over more than 32 tokens on tensor cores, backward, in three kernels:
//
//   1. D_i = dout_i . out_i, kept as the two halves of a float in the first two elements of dq_i, which
//      are unused until kernel 3 writes dq: no extra memory, and `out` is read once.
//   2. A block of four warps takes 64 keys, 16 a warp, and passes over the queries in tiles of 32. It
//      computes the transposes S^T = k q^T and dP^T = v dout^T, so that P^T and dS^T leave the tensor cores
//      in the register layout of the left factors of dv += P^T dout and dk += dS^T q.
//   3. A block takes 64 queries and passes over the keys in tiles of 32: dq += dS k.
//
// Kernels 2 and 3 both compute S and dP: 7 products instead of the 5 that a single kernel would need. A
// single kernel would have to accumulate dq across blocks in global memory: by float atomics, whose order
// changes the result, or in a fixed order, with blocks waiting for each other.
//
// Tiles are double-buffered as in the forward pass, and work is skipped in the same units. Up to head_dim 64
// the 16 keys and values of a warp stay in registers as fragments and 32 queries are taken at once; beyond,
// dk and dv alone fill 128 registers, so fragments are read again from shared memory and 16 queries are
// taken.
//
// Kernel 2 takes about 200 registers at head_dim 64 and 240 at 128, kernel 3 about 150 and 230.
//
// ptxas budget of tiles_backward_*: 255 registers, no spills
#pragma once

#include "kernels/attention/attention_tiles.cuh"

namespace cuda::attention {

constexpr int backward_rows = 32;  // of the tiles that pass by

// Lanes 0..15 of a half-warp take a row of up to 128 elements, 8 each.
__global__ void __launch_bounds__(tile_threads, 1)
    store_out_dot_d_out(bf16* d_qkv, const bf16* d_out, const bf16* out, Shape shape, std::int64_t rows,
                        bool packed) {
    wait_for_previous_kernel();
    const int member = lane_index() % 16, d = shape.head_dim;
    const std::int64_t row = thread_index() / 16, token = row / shape.heads, first = row * d;
    float sum = 0;
    if (row < rows) {
        if (packed && 8 * member < d) {
            const Packed<bf16> a = load_packed(out + first + 8 * member),
                               b = load_packed(d_out + first + 8 * member);
#pragma unroll
            for (int e = 0; e < 8; ++e) sum += to_float(a[e]) * to_float(b[e]);
        } else {
            for (int c = 8 * member; c < d && c < 8 * member + 8; ++c)
                sum += to_float(out[first + c]) * to_float(d_out[first + c]);
        }
    }
    for (int distance = 8; distance > 0; distance /= 2) sum += __shfl_xor_sync(all_lanes, sum, distance);
    if (row < rows && member == 0) {
        const std::uint32_t bits = __float_as_uint(sum);
        bf16* to = d_qkv + (3 * token * shape.heads + (row - token * shape.heads)) * d;
        to[0] = {static_cast<std::uint16_t>(bits)};
        to[1] = {static_cast<std::uint16_t>(bits >> 16)};
    }
}
__device__ inline float load_out_dot_d_out(const bf16* d_query) {
    return __uint_as_float(static_cast<std::uint32_t>(d_query[1].bits) << 16 | d_query[0].bits);
}

// The 16 keys of a warp and their accumulators dk and dv.
template <int columns>
struct KeyGradients {
    static constexpr bool in_registers = columns <= 64;
    static constexpr int step = in_registers ? 32 : 16;  // queries taken at once
    static constexpr int fragments = in_registers ? columns / 16 : 0;
    FragmentA key[fragments + 1], value[fragments + 1];  // the last is not used
    Accumulator d_key[columns / 8], d_value[columns / 8];

    // s [16, step] = the warp's keys (or values, in `held` or else in `rows`) times rows of a tile.
    __device__ static void scores(Accumulator (&s)[step / 8], const FragmentA (&held)[fragments + 1],
                                  const bf16* rows, const bf16* tile, int row) {
        clear(s);
#pragma unroll
        for (int k = 0; k < columns / 16; ++k) {
            if constexpr (in_registers) {
                add_scores(s, held[k], tile, row, 16 * k);
            } else {
                FragmentA left;
                load_a(left, rows, row_stride_of(columns), 0, 16 * k);
                add_scores(s, left, tile, row, 16 * k);
            }
        }
    }
    __device__ static void add_scores(Accumulator (&s)[step / 8], const FragmentA& left, const bf16* tile,
                                      int row, int column) {
#pragma unroll
        for (int n = 0; n < step / 16; ++n) {
            FragmentB right[2];
            load_b(right, tile, row_stride_of(columns), row + 16 * n, column);
            mma_m16n8k16(s[2 * n], left, right[0]);
            mma_m16n8k16(s[2 * n + 1], left, right[1]);
        }
    }
};

// A tile of queries in shared memory, and of each lse / ln 2 (infinite where there is no query: P is 0) and
// D.
struct QueryTile {
    const bf16 *query, *d_out;
    const float *lse_log2, *out_dot_d_out;
};

// weights and d_scores [16 keys, step queries] of the queries from `row` on: S^T -> Z P, dP^T -> dS / scale.
// Bit k of `kept` in lane i: whether (query i, key k) is kept.
template <int count, bool has_dropout>
__device__ void transposed_score_gradients(Accumulator (&weights)[count], Accumulator (&d_scores)[count],
                                           const QueryTile& tile, int row, int first_query, int first_key,
                                           bool causal, std::uint32_t kept, const Drops& drops,
                                           float scale_log2) {
    const int g = lane_index() / 4, t = lane_index() % 4;
#pragma unroll
    for (int n = 0; n < count; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
            const int query = row + 8 * n + 2 * t + e;
            const float lse_log2 = tile.lse_log2[query], out_dot_d_out = tile.out_dot_d_out[query];
            std::uint32_t kept_keys = 0;
            if constexpr (has_dropout) kept_keys = __shfl_sync(all_lanes, kept, query);
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                float &weight = weights[n][2 * half + e], &d_score = d_scores[n][2 * half + e];
                const int key = g + 8 * half;
                float p = exp2_approximate(weight * scale_log2 - lse_log2);
                if (causal && first_key + key > first_query + query) p = 0;
                weight = p;
                if constexpr (has_dropout) {
                    const float z = kept_keys >> key & 1u ? drops.kept : 0.0f;
                    weight *= z;
                    d_score *= z;
                }
                d_score = p * (d_score - out_dot_d_out);
            }
        }
}

template <int columns, bool has_dropout>
__global__ void __launch_bounds__(tile_threads, 1)
    tiles_backward_keys(bf16* d_qkv, const bf16* d_out, const float* log_sum_exp, const bf16* qkv,
                        Shape shape, Drops drops, float scale, bool packed) {
    wait_for_previous_kernel();
    constexpr int stride = row_stride_of(columns), block_keys = 16 * tile_warps;
    constexpr int step = KeyGradients<columns>::step;
    SharedMemory shared;
    bf16* keys = shared.take<bf16>(tile_elements(block_keys, columns));
    bf16* values = shared.take<bf16>(tile_elements(block_keys, columns));
    bf16* query_buffers = shared.take<bf16>(2 * tile_elements(backward_rows, columns));
    bf16* d_out_buffers = shared.take<bf16>(2 * tile_elements(backward_rows, columns));
    float* row_buffers = shared.take<float>(4 * backward_rows);  // [buffer][lse / ln 2, D][query]
    const int tiles = (shape.length + block_keys - 1) / block_keys, thread = static_cast<int>(threadIdx.x);
    const Head head(shape, blockIdx.x / static_cast<unsigned>(tiles));
    const HeadDrops head_drops(drops, shape, head, has_dropout);
    const int first_of_block = block_keys * static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles));
    const int warp = thread / warp_size, first_key = first_of_block + 16 * warp;
    const bf16 *query = qkv + head.qkv_start, *gradient = d_out + head.out_start;
    bf16 *warp_keys = keys + 16 * warp * stride, *warp_values = values + 16 * warp * stride;

    // Threads 0..31 fetch lse, 32..63 D of a query each; kept in a register until its buffer is free.
    const auto fetch_row_value = [&](int first) {
        const int token = first + thread % backward_rows;
        if (thread >= 2 * backward_rows) return 0.0f;
        if (token >= shape.length) return thread < backward_rows ? INFINITY : 0.0f;
        if (thread < backward_rows) return log_sum_exp[head.lse_start + token] * log2_e;
        return load_out_dot_d_out(d_qkv + head.qkv_row(token));
    };
    const auto load_queries = [&](int buffer, int first) {
        const std::size_t at = buffer * tile_elements(backward_rows, columns);
        load_tile<backward_rows, columns>(query_buffers + at, query, head.qkv_stride, first, shape, packed);
        load_tile<backward_rows, columns>(d_out_buffers + at, gradient, head.out_stride, first, shape,
                                          packed);
        copy_async_commit();
    };
    const int start = shape.causal ? first_of_block : 0;
    load_tile<block_keys, columns>(keys, query + head.out_stride, head.qkv_stride, first_of_block, shape,
                                   packed);
    load_tile<block_keys, columns>(values, query + 2 * head.out_stride, head.qkv_stride, first_of_block,
                                   shape, packed);
    load_queries(0, start);
    if (const float value = fetch_row_value(start); thread < 2 * backward_rows) row_buffers[thread] = value;
    KeyGradients<columns> state;
    clear(state.d_key);
    clear(state.d_value);
    for (int first = start, buffer = 0; first < shape.length; first += backward_rows, buffer ^= 1) {
        copy_async_wait<0>();
        __syncthreads();
        if (first == start) {
#pragma unroll
            for (int k = 0; k < state.fragments; ++k) {
                load_a(state.key[k], warp_keys, stride, 0, 16 * k);
                load_a(state.value[k], warp_values, stride, 0, 16 * k);
            }
        }
        const bool more = first + backward_rows < shape.length;
        float next_row_value = 0;
        if (more) {
            load_queries(buffer ^ 1, first + backward_rows);
            next_row_value = fetch_row_value(first + backward_rows);
        }
        const float* row_values = row_buffers + 2 * buffer * backward_rows;
        const QueryTile tile{query_buffers + buffer * tile_elements(backward_rows, columns),
                             d_out_buffers + buffer * tile_elements(backward_rows, columns), row_values,
                             row_values + backward_rows};
        const bool works = first_key < shape.length && (!shape.causal || first + backward_rows > first_key);
        if (works) {
            std::uint32_t kept = 0;
            if constexpr (has_dropout)
                kept = static_cast<std::uint32_t>(
                    head_drops.kept_bits<16, 1>(first + lane_index(), first_key, 0));
#pragma unroll
            for (int row = 0; row < backward_rows; row += step) {
                if (first + row >= shape.length) break;
                Accumulator weights[step / 8], d_scores[step / 8];
                state.scores(weights, state.key, warp_keys, tile.query, row);
                state.scores(d_scores, state.value, warp_values, tile.d_out, row);
                transposed_score_gradients<step / 8, has_dropout>(weights, d_scores, tile, row, first,
                                                                  first_key, shape.causal, kept, drops,
                                                                  scale * log2_e);
#pragma unroll
                for (int k = 0; k < step / 16; ++k) {
                    FragmentA left;
                    as_a(left, weights[2 * k], weights[2 * k + 1]);
                    add_weighted_rows<columns>(state.d_value, left, tile.d_out, row + 16 * k);
                    as_a(left, d_scores[2 * k], d_scores[2 * k + 1]);
                    add_weighted_rows<columns>(state.d_key, left, tile.query, row + 16 * k);
                }
            }
        }
        if (more && thread < 2 * backward_rows)
            row_buffers[2 * (buffer ^ 1) * backward_rows + thread] = next_row_value;
    }
    if (first_key >= shape.length) return;
    __syncwarp();  // the warp has read its keys and values: their memory is reused for the results
    store_accumulators<columns>(warp_keys, state.d_key, scale, scale);
    store_accumulators<columns>(warp_values, state.d_value, 1.0f, 1.0f);
    __syncwarp();
    bf16* d_key = d_qkv + head.qkv_start + head.out_stride;
    store_warp_rows<columns>(d_key, head.qkv_stride, warp_keys, first_key, shape, packed);
    store_warp_rows<columns>(d_key + head.out_stride, head.qkv_stride, warp_values, first_key, shape, packed);
}

template <int columns, bool has_dropout>
__global__ void __launch_bounds__(tile_threads, 1)
    tiles_backward_queries(bf16* d_qkv, const bf16* d_out, const float* log_sum_exp, const bf16* qkv,
                           Shape shape, Drops drops, float scale, bool packed) {
    wait_for_previous_kernel();
    constexpr int stride = row_stride_of(columns), keys = backward_rows;
    SharedMemory shared;
    bf16* queries = shared.take<bf16>(tile_elements(tile_queries, columns));
    bf16* gradients = shared.take<bf16>(tile_elements(tile_queries, columns));
    bf16* key_buffers = shared.take<bf16>(2 * tile_elements(keys, columns));
    bf16* value_buffers = shared.take<bf16>(2 * tile_elements(keys, columns));
    const int tiles = (shape.length + tile_queries - 1) / tile_queries;
    const int place = static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles));
    const Head head(shape, blockIdx.x / static_cast<unsigned>(tiles));
    const HeadDrops head_drops(drops, shape, head, has_dropout);
    const int first_of_block = tile_queries * (shape.causal ? tiles - 1 - place : place);
    const int warp = static_cast<int>(threadIdx.x) / warp_size, first_query = first_of_block + 16 * warp;
    const int key_end = shape.causal ? min(shape.length, first_of_block + tile_queries) : shape.length;
    const bf16 *query = qkv + head.qkv_start, *key = query + head.out_stride, *value = key + head.out_stride;
    bf16 *warp_queries = queries + 16 * warp * stride, *warp_gradients = gradients + 16 * warp * stride;
    const auto load_keys = [&](int buffer, int first) {
        const std::size_t at = buffer * tile_elements(keys, columns);
        load_tile<keys, columns>(key_buffers + at, key, head.qkv_stride, first, shape, packed);
        load_tile<keys, columns>(value_buffers + at, value, head.qkv_stride, first, shape, packed);
        copy_async_commit();
    };

    load_tile<tile_queries, columns>(queries, query, head.qkv_stride, first_of_block, shape, packed);
    load_tile<tile_queries, columns>(gradients, d_out + head.out_start, head.out_stride, first_of_block,
                                     shape, packed);
    load_keys(0, 0);
    float lse_log2[2] = {INFINITY, INFINITY}, out_dot_d_out[2] = {};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int token = first_query + 8 * half + lane_index() / 4;
        if (token >= shape.length) continue;
        lse_log2[half] = log_sum_exp[head.lse_start + token] * log2_e;
        out_dot_d_out[half] = load_out_dot_d_out(d_qkv + head.qkv_row(token));
    }
    FragmentA query_rows[columns / 16], gradient_rows[columns / 16];
    Accumulator d_query[columns / 8];
    clear(d_query);
    for (int first = 0, buffer = 0; first < key_end; first += keys, buffer ^= 1) {
        copy_async_wait<0>();
        __syncthreads();
        if (first == 0) {
#pragma unroll
            for (int k = 0; k < columns / 16; ++k) {
                load_a(query_rows[k], warp_queries, stride, 0, 16 * k);
                load_a(gradient_rows[k], warp_gradients, stride, 0, 16 * k);
            }
        }
        if (first + keys < key_end) load_keys(buffer ^ 1, first + keys);
        const int visible = (shape.causal ? min(key_end, first_query + 16) : key_end) - first;
        if (first_query >= shape.length || visible <= 0) continue;
        const bf16* key_tile = key_buffers + buffer * tile_elements(keys, columns);
        const bf16* value_tile = value_buffers + buffer * tile_elements(keys, columns);
        const int g = lane_index() / 4, t = lane_index() % 4;
        Accumulator d_scores[keys / 8];
#pragma unroll
        for (int k = 0; k < keys / 16; ++k)
            dot_rows<columns>(d_scores[2 * k], d_scores[2 * k + 1], gradient_rows, value_tile, 16 * k);
        if constexpr (has_dropout) drop_weights(d_scores, head_drops, first_query, first);
#pragma unroll
        for (int k = 0; k < keys / 16; ++k) {
            if (16 * k >= visible) break;
            Accumulator s[2];
            dot_rows<columns>(s[0], s[1], query_rows, key_tile, 16 * k);
#pragma unroll
            for (int n = 0; n < 2; ++n)
#pragma unroll
                for (int e = 0; e < 4; ++e) {
                    const int column = 16 * k + 8 * n + 2 * t + e % 2, row = g + e / 2 * 8;
                    float p = exp2_approximate(s[n][e] * (scale * log2_e) - lse_log2[e / 2]);
                    if (first + column >= shape.length ||
                        (shape.causal && first + column > first_query + row))
                        p = 0;
                    const float d_weight = (has_dropout ? drops.kept : 1.0f) * d_scores[2 * k + n][e];
                    s[n][e] = p * (d_weight - out_dot_d_out[e / 2]);
                }
            FragmentA left;
            as_a(left, s[0], s[1]);
            add_weighted_rows<columns>(d_query, left, key_tile, 16 * k);
        }
    }
    if (first_query >= shape.length) return;
    __syncwarp();  // the warp has read its queries: their memory is reused for the result
    store_accumulators<columns>(warp_queries, d_query, scale, scale);
    __syncwarp();
    store_warp_rows<columns>(d_qkv + head.qkv_start, head.qkv_stride, warp_queries, first_query, shape,
                             packed);
}

template <int columns, bool has_dropout>
void launch_tiles_backward(Stream stream, bf16* d_qkv, const bf16* d_out, const bf16* out,
                           const float* log_sum_exp, const bf16* qkv, const Shape& shape,
                           const Drops& drops) {
    const bool packed = packed_rows(shape, {d_qkv, d_out, out, qkv});
    const std::int64_t rows = shape.pairs * shape.length;
    const std::int64_t tiles = (shape.length + tile_queries - 1) / tile_queries;
    const std::size_t bytes =
        (2 * tile_elements(tile_queries, columns) + 4 * tile_elements(backward_rows, columns)) * sizeof(bf16);
    launch(store_out_dot_d_out, blocks_for(rows * 16, tile_threads), tile_threads, 0, stream, d_qkv, d_out,
           out, shape, rows, packed);
    launch(tiles_backward_keys<columns, has_dropout>, blocks_for(shape.pairs * tiles, 1), tile_threads,
           bytes + 4 * backward_rows * sizeof(float), stream, d_qkv, d_out, log_sum_exp, qkv, shape, drops,
           shape.scale(), packed);
    launch(tiles_backward_queries<columns, has_dropout>, blocks_for(shape.pairs * tiles, 1), tile_threads,
           bytes, stream, d_qkv, d_out, log_sum_exp, qkv, shape, drops, shape.scale(), packed);
}

}  // namespace cuda::attention
