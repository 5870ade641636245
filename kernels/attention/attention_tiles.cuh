// Attention over more than 32 tokens on tensor cores, forward: FlashAttention-2's loop. A block of four warps
// takes 64 queries of one head, 16 a warp, and passes over the keys in tiles of 64 that its warps share. A
// warp's queries, scores and output stay in registers; keys and values are staged in shared memory,
// double-buffered (with a single tile there is no second buffer, and more blocks fit). The softmax is in base
// 2, with the scale folded into its one multiplication.
//
// Work is skipped in units of 16 rows: warps beyond the last query, and 16 keys beyond the last key or,
// causal, beyond the warp's last query. So 65 tokens cost little more than 64. Blocks are numbered query tile
// first, so that those of one head share its keys in L2; causal, the longest come first.
//
// 16 queries per warp, rather than 32, fit head_dim 128 into the registers without spilling and waste fewer
// rows on short sequences; the cost is that every key is read from shared memory four times per block.
//
// Launch bounds state one block per SM, and thus no register limit: ptxas meets a limit by spilling a few. It
// uses about 130 registers at head_dim 64 and 190 at 128 (50 more with dropout): three blocks or two.
//
// ptxas budget of tiles_forward: 255 registers, no spills, 43 KiB of code, 16-byte loads
#pragma once

#include "kernels/attention/attention_fragments.cuh"
#include "kernels/common/launch.cuh"

namespace cuda::attention {

constexpr int tile_warps = 4, tile_threads = tile_warps * warp_size, tile_queries = 16 * tile_warps;

// Rows first .. first + rows - 1 of a head to shared memory, [rows, columns]; those that do not exist as
// zeros.
template <int rows, int columns>
__device__ void load_tile(bf16* tile, const bf16* source, int stride, int first, const Shape& shape,
                          bool packed) {
    constexpr int chunks = columns / 8;
    for (int n = static_cast<int>(threadIdx.x); n < rows * chunks; n += tile_threads) {
        const int row = n / chunks;
        const bool exists = first + row < shape.length;
        load_chunk(tile + row * row_stride_of(columns),
                   source + (exists ? static_cast<std::int64_t>(first + row) * stride : 0), 8 * (n % chunks),
                   shape.head_dim, exists, packed);
    }
}

// The warp's 16 rows of a tile, of tokens first .. first + 15, to global memory.
template <int columns>
__device__ void store_warp_rows(bf16* target, int stride, const bf16* tile, int first, const Shape& shape,
                                bool packed) {
    constexpr int chunks = columns / 8;
    for (int n = lane_index(); n < 16 * chunks; n += warp_size) {
        const int row = n / chunks;
        if (first + row < shape.length)
            store_chunk(target + static_cast<std::int64_t>(first + row) * stride,
                        tile + row * row_stride_of(columns), 8 * (n % chunks), shape.head_dim, packed);
    }
}

template <int count>
__device__ void clear(Accumulator (&sums)[count]) {
#pragma unroll
    for (int n = 0; n < count; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) sums[n][e] = 0;
}

// [16, columns] times its rows' factors to the warp's rows of a tile.
template <int columns>
__device__ void store_accumulators(bf16* rows, const Accumulator (&sums)[columns / 8], float upper,
                                   float lower) {
#pragma unroll
    for (int n = 0; n < columns / 16; ++n) {
        const Accumulator both[2] = {
            {sums[2 * n][0], sums[2 * n][1], sums[2 * n][2], sums[2 * n][3]},
            {sums[2 * n + 1][0], sums[2 * n + 1][1], sums[2 * n + 1][2], sums[2 * n + 1][3]}};
        store_results(rows, row_stride_of(columns), 0, 16 * n, both, upper, lower);
    }
}

// sums [16, columns] += left [16, 16] times rows row .. row + 15 of a tile.
template <int columns>
__device__ void add_weighted_rows(Accumulator (&sums)[columns / 8], const FragmentA& left, const bf16* tile,
                                  int row) {
#pragma unroll
    for (int n = 0; n < columns / 16; ++n) {
        FragmentB right[2];
        load_b_transposed(right, tile, row_stride_of(columns), row, 16 * n);
        mma_m16n8k16(sums[2 * n], left, right[0]);
        mma_m16n8k16(sums[2 * n + 1], left, right[1]);
    }
}

// left, right = a [16, columns] times rows row .. row + 7 and row + 8 .. row + 15 of a tile, transposed.
template <int columns>
__device__ void dot_rows(Accumulator& left, Accumulator& right, const FragmentA (&a)[columns / 16],
                         const bf16* tile, int row) {
#pragma unroll
    for (int e = 0; e < 4; ++e) left[e] = right[e] = 0;
#pragma unroll
    for (int k = 0; k < columns / 16; ++k) {
        FragmentB b[2];
        load_b(b, tile, row_stride_of(columns), row, 16 * k);
        mma_m16n8k16(left, a[k], b[0]);
        mma_m16n8k16(right, a[k], b[1]);
    }
}

// A warp's state over the tiles of keys. For rows g and g + 8, with g = lane / 4: the running maximum, and
// this lane's part of the sum.
template <int columns>
struct ForwardState {
    static constexpr int tile_keys = 64;
    FragmentA query[columns / 16];
    Accumulator out[columns / 8];
    float maximum[2], sum[2];

    // Sets s to the scores with keys first .. first + 63, -inf where a query does not attend. Those from
    // `visible` on are seen by none of the warp's queries.
    __device__ void scores(Accumulator (&s)[tile_keys / 8], const bf16* key, const Shape& shape,
                           int first_query, int first_key, int visible) const {
#pragma unroll
        for (int n = 0; n < tile_keys / 16; ++n) {
            if (16 * n < visible) {
                dot_rows<columns>(s[2 * n], s[2 * n + 1], query, key, 16 * n);
            } else {
#pragma unroll
                for (int e = 0; e < 4; ++e) s[2 * n][e] = s[2 * n + 1][e] = -INFINITY;
            }
        }
        const bool all = first_key + tile_keys <= shape.length &&
                         (!shape.causal || first_key + tile_keys - 1 <= first_query);
        if (all) return;
        const int g = lane_index() / 4, t = lane_index() % 4;
#pragma unroll
        for (int n = 0; n < tile_keys / 8; ++n)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int k = first_key + 8 * n + 2 * t + e % 2, q = first_query + g + e / 2 * 8;
                if (k >= shape.length || (shape.causal && k > q)) s[n][e] = -INFINITY;
            }
    }

    // s becomes exp(s - maximum); maximum, sum and out follow. A row's first tile holds a key it attends to.
    __device__ void online_softmax(Accumulator (&s)[tile_keys / 8], float scale_log2) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float largest = maximum[half];
#pragma unroll
            for (int n = 0; n < tile_keys / 8; ++n)
                largest = fmaxf(largest, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
            largest = quad_max(largest);
            const float keep = exp2_approximate((maximum[half] - largest) * scale_log2);
            const float offset = largest * scale_log2;
            float added = 0;
#pragma unroll
            for (int n = 0; n < tile_keys / 8; ++n)
#pragma unroll
                for (int e = 2 * half; e < 2 * half + 2; ++e) {
                    s[n][e] = exp2_approximate(s[n][e] * scale_log2 - offset);
                    added += s[n][e];
                }
            maximum[half] = largest;
            sum[half] = sum[half] * keep + added;
#pragma unroll
            for (int n = 0; n < columns / 8; ++n) {
                out[n][2 * half] *= keep;
                out[n][2 * half + 1] *= keep;
            }
        }
    }
};

// Sets the dropped weights among [16, count * 8] of the warp's queries to zero.
template <int count>
__device__ void drop_weights(Accumulator (&weights)[count], const HeadDrops& drops, int first_query,
                             int first_key) {
    const int g = lane_index() / 4, t = lane_index() % 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const std::uint64_t kept = drops.kept_bits<8 * count, 4>(first_query + g + 8 * half, first_key, t);
#pragma unroll
        for (int n = 0; n < count; ++n)
#pragma unroll
            for (int e = 0; e < 2; ++e)
                if ((kept >> (8 * n + 2 * t + e) & 1u) == 0) weights[n][2 * half + e] = 0;
    }
}

template <int columns, bool has_dropout>
__global__ void __launch_bounds__(tile_threads, 1)
    tiles_forward(bf16* out, float* log_sum_exp, const bf16* qkv, Shape shape, Drops drops, float scale,
                  bool packed, int buffers) {
    wait_for_previous_kernel();
    constexpr int stride = row_stride_of(columns), keys = ForwardState<columns>::tile_keys;
    SharedMemory shared;
    bf16* queries = shared.take<bf16>(tile_elements(tile_queries, columns));
    bf16* key_buffers = shared.take<bf16>(buffers * tile_elements(keys, columns));
    bf16* value_buffers = shared.take<bf16>(buffers * tile_elements(keys, columns));
    const int tiles = (shape.length + tile_queries - 1) / tile_queries;
    const int place = static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles));
    const std::int64_t pair = blockIdx.x / static_cast<unsigned>(tiles);
    const Head head(shape, pair);
    const HeadDrops head_drops(drops, shape, head, has_dropout);
    const int first_of_block = tile_queries * (shape.causal ? tiles - 1 - place : place);
    const int warp = static_cast<int>(threadIdx.x) / warp_size, first_query = first_of_block + 16 * warp;
    const int key_end = shape.causal ? min(shape.length, first_of_block + tile_queries) : shape.length;
    const bf16* query = qkv + head.qkv_start;
    const bf16 *key = query + head.out_stride, *value = key + head.out_stride;
    bf16* warp_rows = queries + 16 * warp * stride;

    load_tile<tile_queries, columns>(queries, query, head.qkv_stride, first_of_block, shape, packed);
    load_tile<keys, columns>(key_buffers, key, head.qkv_stride, 0, shape, packed);
    load_tile<keys, columns>(value_buffers, value, head.qkv_stride, 0, shape, packed);
    copy_async_commit();
    ForwardState<columns> state;
    clear(state.out);
    state.maximum[0] = state.maximum[1] = -INFINITY;
    state.sum[0] = state.sum[1] = 0;
    for (int first = 0, buffer = 0; first < key_end; first += keys, buffer ^= 1) {
        copy_async_wait<0>();
        __syncthreads();
        if (first == 0) {
#pragma unroll
            for (int k = 0; k < columns / 16; ++k) load_a(state.query[k], warp_rows, stride, 0, 16 * k);
        }
        const bf16* key_tile = key_buffers + buffer * tile_elements(keys, columns);
        const bf16* value_tile = value_buffers + buffer * tile_elements(keys, columns);
        if (first + keys < key_end) {
            const std::size_t next = (buffer ^ 1) * tile_elements(keys, columns);
            load_tile<keys, columns>(key_buffers + next, key, head.qkv_stride, first + keys, shape, packed);
            load_tile<keys, columns>(value_buffers + next, value, head.qkv_stride, first + keys, shape,
                                     packed);
            copy_async_commit();
        }
        const int visible = (shape.causal ? min(key_end, first_query + 16) : key_end) - first;
        if (first_query >= shape.length || visible <= 0) continue;
        Accumulator s[keys / 8];
        state.scores(s, key_tile, shape, first_query, first, visible);
        state.online_softmax(s, scale * log2_e);
        if constexpr (has_dropout) drop_weights(s, head_drops, first_query, first);
#pragma unroll
        for (int k = 0; k < keys / 16; ++k)
            if (16 * k < visible) {
                FragmentA weights;
                as_a(weights, s[2 * k], s[2 * k + 1]);
                add_weighted_rows<columns>(state.out, weights, value_tile, 16 * k);
            }
    }
    if (first_query >= shape.length) return;
    const float kept = has_dropout ? drops.kept : 1.0f;
    float sums[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        sums[half] = quad_sum(state.sum[half]);
        const int token = first_query + 8 * half + lane_index() / 4;
        if (lane_index() % 4 == 0 && token < shape.length)
            log_sum_exp[head.lse_start + token] = state.maximum[half] * scale + logf(sums[half]);
    }
    __syncwarp();  // every lane has read its queries: their memory is reused for the result
    store_accumulators<columns>(warp_rows, state.out, kept / sums[0], kept / sums[1]);
    __syncwarp();
    store_warp_rows<columns>(out + head.out_start, head.out_stride, warp_rows, first_query, shape, packed);
}

template <int columns, bool has_dropout>
void launch_tiles_forward(Stream stream, bf16* out, float* log_sum_exp, const bf16* qkv, const Shape& shape,
                          const Drops& drops) {
    constexpr int keys = ForwardState<columns>::tile_keys;
    const int buffers = shape.length > keys ? 2 : 1;
    const std::int64_t tiles = (shape.length + tile_queries - 1) / tile_queries;
    const std::size_t bytes =
        (tile_elements(tile_queries, columns) + 2 * buffers * tile_elements(keys, columns)) * sizeof(bf16);
    launch(tiles_forward<columns, has_dropout>, blocks_for(shape.pairs * tiles, 1), tile_threads, bytes,
           stream, out, log_sum_exp, qkv, shape, drops, shape.scale(), packed_rows(shape, {out, qkv}),
           buffers);
}

}  // namespace cuda::attention
