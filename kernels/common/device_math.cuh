// Small functions that several kernels share: storing as T, gelu, sums and maxima over a warp or a block, the
// index of a thread, whether an address allows 16-byte accesses.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "kernels/common/bf16.h"
#include "kernels/common/ptx.cuh"

namespace cuda {

constexpr int warp_size = 32;
constexpr unsigned all_lanes = 0xFFFFFFFFu;

// x as a T: itself, or rounded to bf16.
template <class T>
__device__ inline T as(float x) {
    if constexpr (std::is_same_v<T, bf16>)
        return round_to_bf16(x);
    else
        return x;
}

// Whether all these addresses (null included) are multiples of 16 bytes, as load_packed and store_packed
// demand.
template <class... T>
__host__ __device__ inline bool aligned(const T*... addresses) {
    return ((reinterpret_cast<std::uintptr_t>(addresses) % 16 == 0) && ...);
}

constexpr float inverse_sqrt_2 = 0.70710678f;

__device__ inline float gelu(float x) {
    return 0.5f * x * (1.0f + erff(x * inverse_sqrt_2));
}

// This thread's number among all threads of a one-dimensional grid, and their number.
__device__ inline std::int64_t thread_index() {
    return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t thread_count() {
    return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

// The sum or maximum over the lanes of a warp, in every lane; the order of the additions is fixed.
template <class T>
__device__ inline T warp_sum(T x) {
    for (int distance = warp_size / 2; distance > 0; distance /= 2)
        x += __shfl_xor_sync(all_lanes, x, distance);
    return x;
}
__device__ inline float warp_max(float x) {
    for (int distance = warp_size / 2; distance > 0; distance /= 2)
        x = fmaxf(x, __shfl_xor_sync(all_lanes, x, distance));
    return x;
}

// The same over a block of a multiple of 32 threads, at most 1024; `parts` is shared memory for 32 values,
// free to use again after the next barrier.
template <class T>
__device__ inline T block_sum(T x, T* parts) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size,
              warp = static_cast<int>(threadIdx.x) / warp_size,
              warps = static_cast<int>(blockDim.x) / warp_size;
    x = warp_sum(x);
    if (lane == 0) parts[warp] = x;
    __syncthreads();
    x = lane < warps ? parts[lane] : T{};
    return warp_sum(x);
}
__device__ inline float block_max(float x, float* parts) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size,
              warp = static_cast<int>(threadIdx.x) / warp_size,
              warps = static_cast<int>(blockDim.x) / warp_size;
    x = warp_max(x);
    if (lane == 0) parts[warp] = x;
    __syncthreads();
    x = parts[lane < warps ? lane : 0];
    return warp_max(x);
}

}  // namespace cuda
