// dw [N, K] = dy [M, N]^T . A [M, K] for x gathered as A (conv2d_gather.cuh).
//
// A block of four warps makes 8 chunks by 8 chunks (64 x 64 in bf16) of the gradient from the rows of one
// slice, 32 at a time, through three buffers of shared memory; both tiles have the layout of global memory, a
// pixel per row, and are transposed by ldmatrix. Slices follow from the shape alone. Each writes a partial
// sum, and a second kernel adds the partial sums in order and stores the result in the checkpoints' layout.
//
// ptxas budget of weight_*: 80 registers, no spills
#pragma once

#include <algorithm>

#include "kernels/common/launch.cuh"
#include "kernels/conv/conv2d_gather.cuh"
#include "kernels/linear/mma_fragments.cuh"

namespace cuda::conv2d {

constexpr int weight_chunks = 8, weight_rows = 32, weight_stages = 3;
template <class T>
constexpr int weight_columns = weight_chunks* chunk_of<T>;
template <class T>
constexpr int weight_stride = (weight_chunks + 1) * chunk_of<T>;
template <class T>
constexpr int weight_tile = weight_rows* weight_stride<T>;

struct WeightProduct {
    Gather gather;
    int N, K, slice_rows;
    bool packed_dy;
};

template <class T>
struct WeightSums;

// A warp has a quarter: rows 32 (warp / 2).., columns 32 (warp % 2)...
template <>
struct WeightSums<bf16> {
    mma::Accumulator sums[2][4] = {};

    __device__ static int first_n() { return static_cast<int>(threadIdx.x) / (2 * warp_size) * 32; }
    __device__ static int first_k() { return static_cast<int>(threadIdx.x) / warp_size % 2 * 32; }

    __device__ void add(const bf16* dy, const bf16* x) {
#pragma unroll
        for (int row = 0; row < weight_rows; row += 16) {
            mma::FragmentA a[2];
#pragma unroll
            for (int m = 0; m < 2; ++m)
                mma::load_a_transposed(a[m], dy, weight_stride<bf16>, row, first_n() + 16 * m);
#pragma unroll
            for (int pair = 0; pair < 2; ++pair) {
                mma::FragmentB b[2];
                mma::load_b_transposed(b, x, weight_stride<bf16>, row, first_k() + 16 * pair);
#pragma unroll
                for (int m = 0; m < 2; ++m) {
                    mma_m16n8k16(sums[m][2 * pair], a[m], b[0]);
                    mma_m16n8k16(sums[m][2 * pair + 1], a[m], b[1]);
                }
            }
        }
    }

    template <class Store>
    __device__ void store(Store to) const {
        const int g = mma::lane_index() / 4, t = mma::lane_index() % 4;
#pragma unroll
        for (int m = 0; m < 2; ++m)
#pragma unroll
            for (int k = 0; k < 4; ++k)
#pragma unroll
                for (int e = 0; e < 4; ++e)
                    to(first_n() + 16 * m + g + e / 2 * 8, first_k() + 8 * k + 2 * t + e % 2, sums[m][k][e]);
    }
};

// A thread has rows y + 16 r and columns x + 8 c, with (y, x) its place among 16 x 8.
template <>
struct WeightSums<float> {
    static constexpr int row_count = weight_columns<float> / 16, column_count = weight_columns<float> / 8;
    float sums[row_count][column_count] = {};

    __device__ void add(const float* dy, const float* x) {
        const int left = static_cast<int>(threadIdx.x) / 8, right = static_cast<int>(threadIdx.x) % 8;
#pragma unroll 4
        for (int row = 0; row < weight_rows; ++row)
#pragma unroll
            for (int r = 0; r < row_count; ++r)
#pragma unroll
                for (int c = 0; c < column_count; ++c)
                    sums[r][c] += dy[row * weight_stride<float> + left + 16 * r] *
                                  x[row * weight_stride<float> + right + 8 * c];
    }

    template <class Store>
    __device__ void store(Store to) const {
        const int left = static_cast<int>(threadIdx.x) / 8, right = static_cast<int>(threadIdx.x) % 8;
#pragma unroll
        for (int r = 0; r < row_count; ++r)
#pragma unroll
            for (int c = 0; c < column_count; ++c) to(left + 16 * r, right + 8 * c, sums[r][c]);
    }
};

// Chunk `column` of a row of dy, zeros where there is none.
template <class T>
__device__ void load_dy_chunk(T* to, const T* dy, int row, bool exists, int column, const WeightProduct& p) {
    const T* from = dy + std::int64_t{row} * p.N + column;
    if (p.packed_dy) {
        const bool valid = exists && column < p.N;
        copy_async_16(to, valid ? from : dy, valid);
        return;
    }
    for (int e = 0; e < chunk_of<T>; ++e) to[e] = exists && column + e < p.N ? from[e] : T{};
}

// parts [slice, N, K]. Block (column tile, row tile, slice).
template <class T, bool packed>
__global__ void __launch_bounds__(threads)
    weight_product(float* parts, const T* dy, const T* x, WeightProduct p) {
    wait_for_previous_kernel();
    SharedMemory shared;
    T* tiles = shared.take<T>(weight_stages * 2 * weight_tile<T>);
    const int chunk = static_cast<int>(threadIdx.x) % weight_chunks * chunk_of<T>,
              line = static_cast<int>(threadIdx.x) / weight_chunks;
    const int first_n = static_cast<int>(blockIdx.y) * weight_columns<T>,
              first_k = static_cast<int>(blockIdx.x) * weight_columns<T>,
              first_row = static_cast<int>(blockIdx.z) * p.slice_rows,
              end = std::min(first_row + p.slice_rows, p.gather.grid.rows),
              steps = (end - first_row + weight_rows - 1) / weight_rows;
    const Cursor at = p.gather.cursor(first_k + chunk);
    const auto load = [&](int step) {
        T* const tile = tiles + step % weight_stages * 2 * weight_tile<T>;
        constexpr int lines = threads / weight_chunks;
#pragma unroll
        for (int r = 0; r < weight_rows / lines; ++r) {
            const int row = first_row + step * weight_rows + line + lines * r;
            T* const to = tile + (line + lines * r) * weight_stride<T> + chunk;
            load_dy_chunk(to, dy, row, row < end, first_n + chunk, p);
            load_chunk<packed>(to + weight_tile<T>, x, p.gather, origin_of(p.gather, row, row < end), at);
        }
    };
    WeightSums<T> sums;
#pragma unroll
    for (int step = 0; step < weight_stages - 1; ++step) {
        if (step < steps) load(step);
        copy_async_commit();
    }
    for (int step = 0; step < steps; ++step) {
        copy_async_wait<weight_stages - 2>();
        __syncthreads();
        if (step + weight_stages - 1 < steps) load(step + weight_stages - 1);
        copy_async_commit();
        const T* const tile = tiles + step % weight_stages * 2 * weight_tile<T>;
        sums.add(tile, tile + weight_tile<T>);
    }
    float* const part = parts + static_cast<std::int64_t>(blockIdx.z) * p.N * p.K;
    sums.store([&](int row, int column, float sum) {
        const int n = first_n + row, k = first_k + column;
        if (n < p.N && k < p.K) part[static_cast<std::int64_t>(n) * p.K + k] = sum;
    });
}

// d_weight [N, C, taps] += the sum over slices of parts [slice, N, taps, C].
static __global__ void weight_sum(float* d_weight, const float* parts, int slices, std::int64_t weights,
                                  int C, int taps) {
    wait_for_previous_kernel();
    const std::int64_t i = thread_index();
    if (i >= weights) return;
    float total = 0;
#pragma unroll 4
    for (int slice = 0; slice < slices; ++slice) total += parts[slice * weights + i];
    const std::int64_t row = i / (static_cast<std::int64_t>(taps) * C);
    const int within = static_cast<int>(i - row * taps * C), tap = within / C, c = within % C;
    d_weight[(row * C + c) * taps + tap] += total;
}

}  // namespace cuda::conv2d
