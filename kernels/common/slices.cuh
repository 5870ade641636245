// Sums over many sequences or rows without float atomics: each of a number of slices, which follows from the
// sizes alone, is summed into its own part of the workspace, and the parts are added in a fixed order.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/common/ptx.cuh"
#include "kernels/common/rows.cuh"

namespace cuda {
namespace slices_detail {

// 32 bytes of a part side by side, the unit in which memory is read: narrow, so that few columns and
// thousands of slices still give some blocks, each of which reads many slices at a time.
constexpr unsigned columns = 8, max_lanes = 128;

static __global__ void add(float* sums, const float* parts, std::int64_t stride, std::int64_t slices,
                           std::int64_t width) {
    wait_for_previous_kernel();
    SharedMemory shared;
    float* totals = shared.take<float>(static_cast<std::size_t>(columns) * blockDim.y);
    const unsigned lane = threadIdx.y, lanes = blockDim.y, here = lane * columns + threadIdx.x;
    const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * columns + threadIdx.x;
    float total = 0;
    if (column < width) {
#pragma unroll 4
        for (std::int64_t slice = lane; slice < slices; slice += lanes)
            total += parts[slice * stride + column];
    }
    totals[here] = total;
    __syncthreads();
    for (unsigned half = lanes / 2; half > 0; half /= 2) {
        if (lane < half) totals[here] += totals[here + half * columns];
        __syncthreads();
    }
    if (lane == 0 && column < width) sums[column] += totals[here];
}

}  // namespace slices_detail

// Queues sums [width] += the slices' parts, parts [slices, width] with a distance of `stride`.
static inline void add_slices(Stream stream, float* sums, const float* parts, std::int64_t stride,
                              std::int64_t slices, std::int64_t width) {
    using namespace slices_detail;
    // A power of two: at least a warp, and four slices for each lane if there are enough.
    const unsigned lanes = std::bit_floor(static_cast<unsigned>(
        std::clamp(slices / 4, std::int64_t{warp_size / columns}, std::int64_t{max_lanes})));
    launch(add, blocks_for(width, columns), dim3(columns, lanes),
           shared_array_bytes(columns * lanes * sizeof(float)), stream, sums, parts, stride, slices, width);
}

// The slices for sums over `count` sequences of `elements` values each: enough to occupy every thread of a
// large GPU, and at least 8 sequences in each, which keeps the partial sums below an eighth of the summed
// data.
inline std::int64_t sequence_slices(std::int64_t count, std::int64_t elements) {
    constexpr std::int64_t wanted_elements = 1 << 20;
    return std::clamp(wanted_elements / std::max(elements, std::int64_t{1}), std::int64_t{1},
                      std::max(count / 8, std::int64_t{1}));
}

// One position of a slice of sequences: where its rows come from and where they go.
template <class T>
struct SequencePosition {
    const float* from;
    T* to;
    const std::uint8_t* mask;  // null: none is masked
    std::int64_t from_step, to_step, mask_step, count;
};

// Copies the columns [0, n) of the position's rows, 0 where masked, and adds them to `total`, the masked ones
// to `masked_total` as well, in the order of sequences. `count` rows at `begin`, all loaded before the first
// is stored.
template <int count, int n, class T>
__device__ inline void take_rows(const SequencePosition<T>& position, std::int64_t begin, float (&total)[n],
                                 float (&masked_total)[n]) {
    float values[count][n];
    bool masked[count];
#pragma unroll
    for (int k = 0; k < count; ++k) {
        load_elements(values[k], position.from + (begin + k) * position.from_step);
        masked[k] = position.mask != nullptr && position.mask[(begin + k) * position.mask_step] != 0;
    }
#pragma unroll
    for (int k = 0; k < count; ++k) {
#pragma unroll
        for (int i = 0; i < n; ++i) {
            total[i] += values[k][i];
            if (masked[k]) masked_total[i] += values[k][i];
            values[k][i] = masked[k] ? 0.0f : values[k][i];
        }
        store_elements(position.to + (begin + k) * position.to_step, values[k]);
    }
}

template <int n, class T>
__device__ inline void take_position(const SequencePosition<T>& position, float (&total)[n],
                                     float (&masked_total)[n]) {
    constexpr int batch = n > 4 ? 2 : 4;
    std::int64_t row = 0;
    for (; row + batch <= position.count; row += batch) take_rows<batch>(position, row, total, masked_total);
    for (; row < position.count; ++row) take_rows<1>(position, row, total, masked_total);
}

// Stores a slice's result: into its part of the workspace, or into the sum itself if there is one slice.
template <int n>
__device__ inline void store_total(float* to, const float (&total)[n], bool accumulate) {
    float result[n];
#pragma unroll
    for (int i = 0; i < n; ++i) result[i] = 0;
    if (accumulate) load_elements(result, to);
#pragma unroll
    for (int i = 0; i < n; ++i) result[i] += total[i];
    store_elements(to, result);
}

}  // namespace cuda
