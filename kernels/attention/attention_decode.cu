// Bound by memory: each key and value of the cache is read once, 8 elements a lane, 16 bytes in bf16. The
// rows of a head are contiguous, so the lanes of a warp, in teams as wide as a row (8 lanes for head_dim 64),
// read 32 lanes' worth of consecutive memory at a time. Each team has its own maximum, sum and weighted sum
// of values, over every n-th row, two rows at a time so that the second's loads overlap the first's
// arithmetic; in the end they are combined by their maxima, within a warp by shuffles and then through shared
// memory.
//
// Up to 64 positions one warp per head, four warps per block: there are many heads then (the inner levels
// draw for a hundred thousand sequences at once). Beyond, four warps per head. The choice depends on the
// position alone, so a sequence's bits do not depend on the number of sequences.
//
// ptxas budget: 96 registers, no spills
#include "kernels/attention/attention_decode.h"

#include <cmath>

#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"

namespace cuda {
namespace {

constexpr int decode_warps = 4, decode_threads = decode_warps * warp_size;
constexpr int per_lane = 8, max_head_dim = 256, one_warp_positions = 64;

// `packed`: accesses of 16 bytes; head_dim is a multiple of 8 and all addresses are 16-byte aligned.
template <class T>
__device__ void load_columns(float (&values)[per_lane], const T* row, int column, int head_dim, bool packed) {
    if (packed) {
#pragma unroll
        for (int i = 0; i < per_lane; i += Packed<T>::count) {
            const Packed<T> part = load_packed(row + column + i);
#pragma unroll
            for (int j = 0; j < Packed<T>::count; ++j) values[i + j] = to_float(part[j]);
        }
    } else {
#pragma unroll
        for (int i = 0; i < per_lane; ++i)
            values[i] = column + i < head_dim ? to_float(row[column + i]) : 0.0f;
    }
}
template <class T>
__device__ void store_columns(T* row, const float (&values)[per_lane], int column, int head_dim,
                              bool packed) {
    if (packed) {
#pragma unroll
        for (int i = 0; i < per_lane; i += Packed<T>::count) {
            Packed<T> part;
#pragma unroll
            for (int j = 0; j < Packed<T>::count; ++j) part[j] = as<T>(values[i + j]);
            store_packed(row + column + i, part);
        }
    } else {
#pragma unroll
        for (int i = 0; i < per_lane; ++i)
            if (column + i < head_dim) row[column + i] = as<T>(values[i]);
    }
}

// Softmax so far over some of the keys: the sum of exp(score - maximum) and that of the values so weighted.
struct Partial {
    float maximum = -INFINITY, sum = 0, values[per_lane] = {};

    __device__ void add(float score, const float (&value)[per_lane]) {
        const float largest = fmaxf(maximum, score);
        const float keep = expf(maximum - largest), weight = expf(score - largest);
        maximum = largest;
        sum = sum * keep + weight;
#pragma unroll
        for (int i = 0; i < per_lane; ++i) values[i] = values[i] * keep + weight * value[i];
    }
    // Sets keep and take, the factors of two parts. A part without keys has a maximum of -infinity.
    __device__ static float combine(float a, float b, float& keep, float& take) {
        const float largest = fmaxf(a, b);
        keep = a == -INFINITY ? 0.0f : expf(a - largest);
        take = b == -INFINITY ? 0.0f : expf(b - largest);
        return largest;
    }
    // Joins with the partial of lane ^ distance; both get the same bits. All lanes together.
    __device__ void join(int distance) {
        float keep, take;
        maximum = combine(maximum, __shfl_xor_sync(all_lanes, maximum, distance), keep, take);
        sum = sum * keep + take * __shfl_xor_sync(all_lanes, sum, distance);
#pragma unroll
        for (int i = 0; i < per_lane; ++i)
            values[i] = values[i] * keep + take * __shfl_xor_sync(all_lanes, values[i], distance);
    }
};

__device__ inline float team_dot(const float (&a)[per_lane], const float (&b)[per_lane], int team_lanes) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < per_lane; ++i) sum += a[i] * b[i];
    for (int distance = 1; distance < team_lanes; distance *= 2)
        sum += __shfl_xor_sync(all_lanes, sum, distance);
    return sum;
}

struct DecodeShape {
    std::int64_t pairs, position, capacity;
    int heads, head_dim;
    int team_lanes;      // that share a row: a power of two
    int warps_per_pair;  // 1 or decode_warps
    float scale;
    bool packed;
};

// The team's part of a head: of the cached rows first, first + step, ... < position, and of the new token if
// it is in front of the others.
template <class T>
__device__ void decode_rows(Partial& part, const float (&query)[per_lane], const T* keys, const T* values,
                            const DecodeShape& shape, std::int64_t first, std::int64_t step, int column) {
    const int head_dim = shape.head_dim;
    const bool in_row = column < head_dim;
    constexpr int at_once = 2;
    // `row` runs in step for all lanes of a warp, whose teams are at row .. row + teams - 1.
    const std::int64_t team = first % step;
    for (std::int64_t row = 0; row < shape.position; row += at_once * step) {
        float key[at_once][per_lane] = {}, value[at_once][per_lane] = {};
#pragma unroll
        for (int r = 0; r < at_once; ++r) {
            const std::int64_t offset = (row + r * step + team) * head_dim;
            if (!in_row || row + r * step + team >= shape.position) continue;
            load_columns(key[r], keys + offset, column, head_dim, shape.packed);
            load_columns(value[r], values + offset, column, head_dim, shape.packed);
        }
#pragma unroll
        for (int r = 0; r < at_once; ++r) {
            const float score = team_dot(query, key[r], shape.team_lanes) * shape.scale;
            if (row + r * step + team < shape.position) part.add(score, value[r]);
        }
    }
}

template <class T>
__global__ void __launch_bounds__(decode_threads)
    decode(T* out, T* key_cache, T* value_cache, const T* qkv, DecodeShape shape) {
    wait_for_previous_kernel();
    SharedMemory shared;
    float* maxima = shared.take<float>(decode_warps);
    float* sums = shared.take<float>(decode_warps);
    float* results = shared.take<float>(decode_warps * max_head_dim);
    const int lane = static_cast<int>(threadIdx.x) % warp_size,
              warp = static_cast<int>(threadIdx.x) / warp_size, head_dim = shape.head_dim;
    const int W = shape.warps_per_pair, column = lane % shape.team_lanes * per_lane;
    const std::int64_t pair = std::int64_t{blockIdx.x} * (decode_warps / W) + warp / W;
    const bool exists = pair < shape.pairs, in_row = exists && column < head_dim;
    const std::int64_t sequence = exists ? pair / shape.heads : 0, head = exists ? pair % shape.heads : 0;
    const std::int64_t part_stride = std::int64_t{1} * shape.heads * head_dim;
    const T* new_row = qkv + sequence * 3 * part_stride + head * head_dim;
    const std::int64_t cache_start = exists ? pair * shape.capacity * head_dim : 0;
    const int teams = warp_size / shape.team_lanes, team = warp % W * teams + lane / shape.team_lanes;

    float query[per_lane] = {}, new_key[per_lane] = {}, new_value[per_lane] = {};
    if (in_row) {
        load_columns(query, new_row, column, head_dim, shape.packed);
        load_columns(new_key, new_row + part_stride, column, head_dim, shape.packed);
        load_columns(new_value, new_row + 2 * part_stride, column, head_dim, shape.packed);
    }
    Partial part;
    const float new_score = team_dot(query, new_key, shape.team_lanes) * shape.scale;
    if (team == 0) {
        part.add(new_score, new_value);
        if (in_row) {
            const std::int64_t at = cache_start + shape.position * head_dim;
            store_columns(key_cache + at, new_key, column, head_dim, shape.packed);
            store_columns(value_cache + at, new_value, column, head_dim, shape.packed);
        }
    }
    if (exists)
        decode_rows(part, query, key_cache + cache_start, value_cache + cache_start, shape, team, teams * W,
                    column);
    for (int distance = shape.team_lanes; distance < warp_size; distance *= 2) part.join(distance);
    if (W > 1) {  // a block is one head
        if (lane < shape.team_lanes && in_row) {
            if (lane == 0) {
                maxima[warp] = part.maximum;
                sums[warp] = part.sum;
            }
            for (int i = 0; i < per_lane; ++i) results[warp * max_head_dim + column + i] = part.values[i];
        }
        __syncthreads();
        if (warp != 0) return;
        for (int other = 1; other < W && in_row; ++other) {
            float keep, take;
            part.maximum = Partial::combine(part.maximum, maxima[other], keep, take);
            part.sum = part.sum * keep + take * sums[other];
            for (int i = 0; i < per_lane; ++i)
                part.values[i] = part.values[i] * keep + take * results[other * max_head_dim + column + i];
        }
    }
    if (lane >= shape.team_lanes || !in_row) return;
    for (int i = 0; i < per_lane; ++i) part.values[i] /= part.sum;
    store_columns(out + pair * head_dim, part.values, column, head_dim, shape.packed);
}

}  // namespace

template <class T>
void attention_decode(Stream stream, T* out, T* key_cache, T* value_cache, const T* qkv,
                      std::int64_t sequences, std::int64_t heads, std::int64_t head_dim,
                      std::int64_t position, std::int64_t capacity) {
    DecodeShape shape{.pairs = sequences * heads,
                      .position = position,
                      .capacity = capacity,
                      .heads = static_cast<int>(heads),
                      .head_dim = static_cast<int>(head_dim),
                      .team_lanes = 1,
                      .warps_per_pair = position < one_warp_positions ? 1 : decode_warps,
                      .scale = 1 / std::sqrt(static_cast<float>(head_dim)),
                      .packed = head_dim % per_lane == 0 && aligned(out, key_cache, value_cache, qkv)};
    while (shape.team_lanes * per_lane < head_dim) shape.team_lanes *= 2;
    const std::size_t bytes = 2 * shared_array_bytes(decode_warps * sizeof(float)) +
                              shared_array_bytes(decode_warps * max_head_dim * sizeof(float));
    launch(decode<T>, blocks_for(shape.pairs, decode_warps / shape.warps_per_pair), decode_threads, bytes,
           stream, out, key_cache, value_cache, qkv, shape);
}

template void attention_decode(Stream, float*, float*, float*, const float*, std::int64_t, std::int64_t,
                               std::int64_t, std::int64_t, std::int64_t);
template void attention_decode(Stream, bf16*, bf16*, bf16*, const bf16*, std::int64_t, std::int64_t,
                               std::int64_t, std::int64_t, std::int64_t);

}  // namespace cuda
