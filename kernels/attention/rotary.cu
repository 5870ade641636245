// Bound by memory: q and k are read and written once, the table's rows come from cache. A block takes as many
// tokens as give its threads a few groups of 8 elements each, 16 bytes in bf16; the divisions that find token
// and pair of a group are then of 32 bits. Where head_dim is not a multiple of 8, or the array does not start
// at a 16-byte boundary, elements go one by one.
// ptxas budget: 40 registers, no spills
#include "kernels/attention/rotary.h"

#include <algorithm>

#include "kernels/common/chunk.cuh"

namespace cuda {
namespace {

constexpr int block_threads = 256;

struct Rotation {
    std::int64_t tokens, first_position;
    int length, half, groups_per_token, token_stride, tokens_per_block;
    float direction;  // 1 forward, -1 backward
    bool packed;
};

// Pairs (0, 1), (2, 3), ... of 8 elements; pair p turns by entry (first + p) % half of the table's row.
__device__ void turn(Chunk& x, const float* cosine, const float* sine, int first, int half, float direction) {
#pragma unroll
    for (int p = 0; p < chunk_size / 2; ++p) {
        const int j = (first + p) % half;
        const float a = x[2 * p], b = x[2 * p + 1], c = cosine[j], s = direction * sine[j];
        x[2 * p] = a * c - b * s;
        x[2 * p + 1] = b * c + a * s;
    }
}

template <class T>
__global__ void rotate(T* qkv, const float* cosine, const float* sine, Rotation rotation) {
    wait_for_previous_kernel();
    const std::int64_t first_token = std::int64_t{blockIdx.x} * rotation.tokens_per_block;
    const int first_in_sequence = static_cast<int>(first_token % rotation.length);
    const int tokens = static_cast<int>(
        min(static_cast<std::int64_t>(rotation.tokens_per_block), rotation.tokens - first_token));
    for (int n = static_cast<int>(threadIdx.x); n < tokens * rotation.groups_per_token; n += block_threads) {
        const int token = n / rotation.groups_per_token;
        const int element = chunk_size * (n - token * rotation.groups_per_token);
        const std::int64_t entry = rotation.first_position + (first_in_sequence + token) % rotation.length;
        T* at = qkv + (first_token + token) * rotation.token_stride + element;
        Chunk x = load_chunk(at, chunk_size, rotation.packed);
        turn(x, cosine + entry * rotation.half, sine + entry * rotation.half, element / 2 % rotation.half,
             rotation.half, rotation.direction);
        store_chunk(at, x, chunk_size, rotation.packed);
    }
}

template <class T>
void launch_rotation(Stream stream, T* qkv, const float* cosine, const float* sine, std::int64_t sequences,
                     std::int64_t length, std::int64_t heads, std::int64_t head_dim,
                     std::int64_t first_position, float direction) {
    constexpr int groups_per_block = 4 * block_threads;
    const int groups = static_cast<int>(2 * heads * head_dim / chunk_size);  // head_dim is a multiple of 4
    const Rotation rotation{.tokens = sequences * length,
                            .first_position = first_position,
                            .length = static_cast<int>(length),
                            .half = static_cast<int>(head_dim / 2),
                            .groups_per_token = groups,
                            .token_stride = static_cast<int>(3 * heads * head_dim),
                            .tokens_per_block = std::max(1, groups_per_block / groups),
                            .direction = direction,
                            .packed = head_dim % chunk_size == 0 && aligned(qkv)};
    launch(rotate<T>, blocks_for(rotation.tokens, rotation.tokens_per_block), block_threads, 0, stream, qkv,
           cosine, sine, rotation);
}

}  // namespace

template <class T>
void rotary_forward(Stream stream, T* qkv, const float* cosine, const float* sine, std::int64_t sequences,
                    std::int64_t length, std::int64_t heads, std::int64_t head_dim,
                    std::int64_t first_position) {
    launch_rotation(stream, qkv, cosine, sine, sequences, length, heads, head_dim, first_position, 1.0f);
}

template <class T>
void rotary_backward(Stream stream, T* d_qkv, const float* cosine, const float* sine, std::int64_t sequences,
                     std::int64_t length, std::int64_t heads, std::int64_t head_dim,
                     std::int64_t first_position) {
    launch_rotation(stream, d_qkv, cosine, sine, sequences, length, heads, head_dim, first_position, -1.0f);
}

template void rotary_forward(Stream, float*, const float*, const float*, std::int64_t, std::int64_t,
                             std::int64_t, std::int64_t, std::int64_t);
template void rotary_forward(Stream, bf16*, const float*, const float*, std::int64_t, std::int64_t,
                             std::int64_t, std::int64_t, std::int64_t);
template void rotary_backward(Stream, float*, const float*, const float*, std::int64_t, std::int64_t,
                              std::int64_t, std::int64_t, std::int64_t);
template void rotary_backward(Stream, bf16*, const float*, const float*, std::int64_t, std::int64_t,
                              std::int64_t, std::int64_t, std::int64_t);

}  // namespace cuda
