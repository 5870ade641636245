// softmax(q k^T / sqrt(d)) v (kernels/attention/attention.h) in bf16. All rungs: d = 64, a length that is a
// multiple of 64, not causal, no dropout.
#include "kernels/attention/attention.h"

#include "kernels/common/chunk.cuh"
#include "tests/bench/ladder/ladder.h"

namespace cuda::ladder {
namespace {

constexpr int d = 64;
constexpr float scale = 0.125f;  // 1 / sqrt(d)

// One head of one sequence; rows of q, k and v lie `stride` apart, those of out `heads * d`.
struct Head {
    const bf16 *q, *k, *v;
    bf16* out;
    float* log_sum_exp;
    int stride, out_stride, length;
};

struct Heads {
    bf16* out;
    float* log_sum_exp;
    const bf16* qkv;
    int length, heads;

    // Of number blockIdx.y.
    __device__ Head head() const {
        const std::int64_t pair = blockIdx.y, sequence = pair / heads, head = pair % heads;
        const int width = heads * d;
        const bf16* const q = qkv + sequence * length * 3 * width + head * d;
        return {q,
                q + width,
                q + 2 * width,
                out + sequence * length * width + head * d,
                log_sum_exp + pair * length,
                3 * width,
                width,
                length};
    }
};

__device__ float dot(const float (&q)[d], const bf16* k) {
    float sum = 0;
#pragma unroll
    for (int c = 0; c < d; ++c) sum += q[c] * to_float(k[c]);
    return sum * scale;
}

__device__ void load_query(float (&q)[d], const Head& h, int query) {
#pragma unroll
    for (int c = 0; c < d; ++c) q[c] = to_float(h.q[query * h.stride + c]);
}

__device__ void store_output(const Head& h, int query, const float (&out)[d], float sum, float most) {
#pragma unroll
    for (int c = 0; c < d; ++c) h.out[query * h.out_stride + c] = round_to_bf16(out[c] / sum);
    h.log_sum_exp[query] = most + logf(sum);
}

// A query's softmax as far as its keys have been seen ("online softmax"): at a larger score, what has been
// summed is scaled down.
__device__ void add_key(float (&out)[d], float& sum, float& most, float score, const bf16* v) {
    const float larger = fmaxf(most, score), factor = expf(most - larger), weight = expf(score - larger);
    most = larger;
    sum = sum * factor + weight;
#pragma unroll
    for (int c = 0; c < d; ++c) out[c] = out[c] * factor + weight * to_float(v[c]);
}

// 1. A thread for each query, the formula's two passes over the keys: the largest score, then the sums. All
// scores are computed twice.
__global__ void a_thread_for_each_query(Heads heads) {
    wait_for_previous_kernel();
    const Head h = heads.head();
    const int query = static_cast<int>(thread_index());
    float q[d], out[d] = {}, sum = 0, most = -INFINITY;
    load_query(q, h, query);
    for (int key = 0; key < h.length; ++key) most = fmaxf(most, dot(q, h.k + key * h.stride));
    for (int key = 0; key < h.length; ++key) {
        const float weight = expf(dot(q, h.k + key * h.stride) - most);
        sum += weight;
#pragma unroll
        for (int c = 0; c < d; ++c) out[c] += weight * to_float(h.v[key * h.stride + c]);
    }
    store_output(h, query, out, sum, most);
}

// 2. One pass with the online softmax: a third of the operations less, keys are read once.
__global__ void one_pass(Heads heads) {
    wait_for_previous_kernel();
    const Head h = heads.head();
    const int query = static_cast<int>(thread_index());
    float q[d], out[d] = {}, sum = 0, most = -INFINITY;
    load_query(q, h, query);
    for (int key = 0; key < h.length; ++key)
        add_key(out, sum, most, dot(q, h.k + key * h.stride), h.v + key * h.stride);
    store_output(h, query, out, sum, most);
}

constexpr int tile = 64, row_stride = d + 8;  // of keys; of a row in shared memory, whose banks differ

// 16-byte copies of 64 rows to shared memory, by the whole block.
__device__ void copy_rows(bf16* to, const bf16* from, int stride) {
    for (int i = static_cast<int>(threadIdx.x); i < tile * d / 8; i += static_cast<int>(blockDim.x)) {
        const int row = i / (d / 8), column = i % (d / 8) * 8;
        store_packed(to + row * row_stride + column, load_packed(from + row * stride + column));
    }
}

// 3. A block of 64 queries copies 64 keys and values at a time to shared memory: each is loaded from memory
// once for 64 queries, in whole lines.
__global__ void keys_in_shared_memory(Heads heads) {
    wait_for_previous_kernel();
    SharedMemory shared;
    auto* const k = shared.take<bf16>(tile * row_stride);
    auto* const v = shared.take<bf16>(tile * row_stride);
    const Head h = heads.head();
    const int query = static_cast<int>(thread_index());
    float q[d], out[d] = {}, sum = 0, most = -INFINITY;
    load_query(q, h, query);
    for (int first = 0; first < h.length; first += tile) {
        __syncthreads();
        copy_rows(k, h.k + first * h.stride, h.stride);
        copy_rows(v, h.v + first * h.stride, h.stride);
        __syncthreads();
        for (int key = 0; key < tile; ++key)
            add_key(out, sum, most, dot(q, k + key * row_stride), v + key * row_stride);
    }
    store_output(h, query, out, sum, most);
}

// 4. Tensor cores (FlashAttention): a warp takes 16 queries. Scores and outputs are fragments of products in
// registers; the weights of one product are the left operand of the next as they are.
__global__ void tensor_cores(Heads heads) {
    wait_for_previous_kernel();
    SharedMemory shared;
    auto* const k = shared.take<bf16>(tile * row_stride);
    auto* const v = shared.take<bf16>(tile * row_stride);
    const Head h = heads.head();
    const int lane = static_cast<int>(threadIdx.x) % warp_size,
              warp = static_cast<int>(threadIdx.x) / warp_size,
              first_query = static_cast<int>(blockIdx.x) * tile;
    std::uint32_t q[d / 16][4];
    copy_rows(k, h.q + first_query * h.stride, h.stride);
    __syncthreads();
    for (int c = 0; c < d / 16; ++c)
        ldmatrix_x4(q[c], k + (16 * warp + lane % 16) * row_stride + 16 * c + lane / 16 * 8);
    float out[d / 8][4] = {}, sum[2] = {}, most[2] = {-INFINITY, -INFINITY};  // of a lane's two queries
    for (int first = 0; first < h.length; first += tile) {
        __syncthreads();
        copy_rows(k, h.k + first * h.stride, h.stride);
        copy_rows(v, h.v + first * h.stride, h.stride);
        __syncthreads();
        float scores[tile / 8][4] = {};
#pragma unroll
        for (int j = 0; j < tile / 8; ++j)
#pragma unroll
            for (int c = 0; c < d / 16; c += 2) {
                std::uint32_t keys[4];
                ldmatrix_x4(keys, k + (8 * j + lane % 8) * row_stride + 16 * c + lane / 8 * 8);
                mma_m16n8k16(scores[j], q[c], {keys[0], keys[1]});
                mma_m16n8k16(scores[j], q[c + 1], {keys[2], keys[3]});
            }
#pragma unroll
        for (int half = 0; half < 2; ++half) {  // queries lane / 4 and lane / 4 + 8
            float larger = most[half], added = 0;
            for (int j = 0; j < tile / 8; ++j)
                larger = fmaxf(larger, scale * fmaxf(scores[j][2 * half], scores[j][2 * half + 1]));
            for (int distance = 1; distance < 4; distance *= 2)  // the lanes that share a query
                larger = fmaxf(larger, __shfl_xor_sync(all_lanes, larger, distance));
            const float factor = expf(most[half] - larger);
            most[half] = larger;
            for (int j = 0; j < tile / 8; ++j)
                for (int i = 2 * half; i < 2 * half + 2; ++i)
                    added += scores[j][i] = expf(scale * scores[j][i] - larger);
            sum[half] = sum[half] * factor + added;
            for (int c = 0; c < d / 8; ++c)
                for (int i = 2 * half; i < 2 * half + 2; ++i) out[c][i] *= factor;
        }
#pragma unroll
        for (int j = 0; j < tile / 16; ++j) {
            const auto& left = scores[2 * j];
            const auto& right = scores[2 * j + 1];
            const std::uint32_t weights[4] = {pack_bf16(left[0], left[1]), pack_bf16(left[2], left[3]),
                                              pack_bf16(right[0], right[1]), pack_bf16(right[2], right[3])};
#pragma unroll
            for (int c = 0; c < d / 8; c += 2) {
                std::uint32_t values[4];
                ldmatrix_x4_transposed(values, v + (16 * j + lane % 16) * row_stride + 8 * c + lane / 16 * 8);
                mma_m16n8k16(out[c], weights, {values[0], values[1]});
                mma_m16n8k16(out[c + 1], weights, {values[2], values[3]});
            }
        }
    }
    for (int half = 0; half < 2; ++half) {
        const int query = first_query + 16 * warp + lane / 4 + 8 * half;
        float total = sum[half];
        for (int distance = 1; distance < 4; distance *= 2)
            total += __shfl_xor_sync(all_lanes, total, distance);
        for (int c = 0; c < d / 8; ++c)
            for (int i = 0; i < 2; ++i)
                h.out[query * h.out_stride + 8 * c + lane % 4 * 2 + i] =
                    round_to_bf16(out[c][2 * half + i] / total);
        if (lane % 4 == 0) h.log_sum_exp[query] = most[half] + logf(total);
    }
}

template <void (*kernel)(Heads), int threads, int shared_bytes>
void run(Stream stream, bf16* out, float* log_sum_exp, const bf16* qkv, const AttentionShape& shape,
         const AttentionDropout&) {
    launch(kernel, dim3(blocks_for(shape.length, tile), blocks_for(shape.sequences * shape.heads, 1)),
           threads, shared_bytes, stream,
           Heads{out, log_sum_exp, qkv, static_cast<int>(shape.length), static_cast<int>(shape.heads)});
}

constexpr int tile_bytes = 2 * shared_array_bytes(tile * row_stride * 2);

// 5. Today's: copies ahead, exponentials to base 2, any width, causal tiles left out, sequences of few tokens
// packed into one tile (kernels/attention/attention_tiles.cuh).
constexpr Rung<Attention> rungs[] = {
    {"1 a thread per query", run<a_thread_for_each_query, tile, 0>},
    {"2 one pass", run<one_pass, tile, 0>},
    {"3 keys in shared memory", run<keys_in_shared_memory, tile, tile_bytes>},
    {"4 tensor cores", run<tensor_cores, 2 * tile, tile_bytes>},
    {"5 today's", attention_forward<bf16>},
};

}  // namespace

std::span<const Rung<Attention>> attention_rungs() {
    return rungs;
}

}  // namespace cuda::ladder
