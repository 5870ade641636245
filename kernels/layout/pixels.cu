// The CPU's bits: every operation is rounded separately (no contraction to fused multiply-adds), divisions
// are IEEE's. Memory-bound, at 5 bytes per element, or on a few pixels only.
//
// mean_pixels sums in the order that the header states and is parallel over images and their rows of pixels,
// which that order leaves independent. A thread reads one row; partially read cache lines stay in cache until
// its next access.
// ptxas budget: 48 registers, no spills
#include "kernels/layout/pixels.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "kernels/common/rows.cuh"
#include "kernels/layout/normalized.cuh"

namespace cuda {
namespace {

constexpr std::int64_t max_channels = 4;

struct Channels {
    float mean[max_channels], deviation[max_channels];
};

// values[c], without giving the parameters of a kernel an address in memory.
__device__ inline float of_channel(const float (&values)[max_channels], std::uint32_t c) {
    float value = values[0];
#pragma unroll
    for (int i = 1; i < max_channels; ++i)
        if (c == static_cast<std::uint32_t>(i)) value = values[i];
    return value;
}

Channels channels_of(const float* mean, const float* deviation, std::int64_t C) {
    if (C > max_channels) throw std::runtime_error("CUDA: pixels of more than 4 channels");
    Channels channels{};
    std::copy_n(mean, C, channels.mean);
    std::copy_n(deviation, C, channels.deviation);
    return channels;
}

struct alignas(4) FourBytes {
    std::uint8_t values[4];
};

// Rows of for_rows are planes.
struct Normalize {
    static constexpr int chunk = 4;
    float* y;
    const std::uint8_t* x;
    Channels channels;
    Divisor by_channels;
    std::int64_t plane;

    template <int n>
    __device__ void run(std::int64_t row, std::int64_t column) const {
        const std::uint32_t c = by_channels.remainder(static_cast<std::uint32_t>(row));
        const float mean = of_channel(channels.mean, c), deviation = of_channel(channels.deviation, c);
        const std::int64_t first = row * plane + column;
        float values[n];
        if constexpr (n == 1) {
            values[0] = normalized(x[first], mean, deviation);
        } else {
            const FourBytes bytes = *reinterpret_cast<const FourBytes*>(x + first);
#pragma unroll
            for (int i = 0; i < n; ++i) values[i] = normalized(bytes.values[i], mean, deviation);
        }
        store_elements(y + first, values);
    }
};

// A row of for_rows is one value.
struct ToValues {
    static constexpr int chunk = 1;
    std::int32_t* values;
    const float* normalized;
    Channels channels;
    Divisor by_channels;

    template <int n>
    __device__ void run(std::int64_t i, std::int64_t) const {
        const std::uint32_t c = by_channels.remainder(static_cast<std::uint32_t>(i));
        const float scaled = __fmul_rn(__fadd_rn(__fmul_rn(normalized[i], of_channel(channels.deviation, c)),
                                                 of_channel(channels.mean, c)),
                                       255.0f);
        std::int32_t value = 0;
        if (scaled > 0.0f) value = scaled < 255.0f ? static_cast<std::int32_t>(rintf(scaled)) : 255;
        values[i] = value;
    }
};

struct FromValues {
    static constexpr int chunk = 1;
    float* y;
    const std::int32_t* values;
    const std::int32_t* rows;
    Channels channels;
    Divisor by_channels;
    std::int64_t C;

    template <int n>
    __device__ void run(std::int64_t i, std::int64_t) const {
        const std::uint32_t row = by_channels.quotient(static_cast<std::uint32_t>(i));
        const std::int64_t c = i - row * C;
        y[rows ? rows[row] * C + c : i] = normalized(
            static_cast<float>(values[i]), of_channel(channels.mean, c), of_channel(channels.deviation, c));
    }
};

// Threads (row of pixels, plane of the block's blockDim.y). Shared: the rows' means [blockDim.y, size].
__global__ void mean_of_planes(float* y, const float* images, std::int64_t planes, std::int64_t size) {
    wait_for_previous_kernel();
    SharedMemory shared;
    float* row_means = shared.take<float>(static_cast<std::size_t>(size) * blockDim.y) + threadIdx.y * size;
    const std::int64_t plane = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
    const auto count = static_cast<float>(size);
    for (std::int64_t row = threadIdx.x; row < size && plane < planes; row += blockDim.x) {
        const float* pixels = images + (plane * size + row) * size;
        float sum = 0;
#pragma unroll 8
        for (std::int64_t column = 0; column < size; ++column) sum = __fadd_rn(sum, pixels[column]);
        row_means[row] = __fdiv_rn(sum, count);
    }
    __syncthreads();
    if (threadIdx.x != 0 || plane >= planes) return;
    float total = 0;
    for (std::int64_t row = 0; row < size; ++row) total = __fadd_rn(total, row_means[row]);
    y[plane] = __fdiv_rn(total, count);
}

}  // namespace

void normalize_pixels(Stream stream, float* y, const std::uint8_t* x, const float* mean,
                      const float* deviation, std::int64_t N, std::int64_t C, std::int64_t plane) {
    const bool packed =
        plane % 4 == 0 && aligned(y) && reinterpret_cast<std::uintptr_t>(x) % alignof(FourBytes) == 0;
    for_rows(stream, N * C, plane, packed,
             Normalize{y, x, channels_of(mean, deviation, C), Divisor(C), plane});
}

void pixel_values(Stream stream, std::int32_t* values, const float* normalized, const float* mean,
                  const float* deviation, std::int64_t N, std::int64_t C) {
    for_rows(stream, N * C, 1, false,
             ToValues{values, normalized, channels_of(mean, deviation, C), Divisor(C)});
}

void normalize_values(Stream stream, float* y, const std::int32_t* values, const float* mean,
                      const float* deviation, const std::int32_t* rows, std::int64_t N, std::int64_t C) {
    for_rows(stream, N * C, 1, false,
             FromValues{y, values, rows, channels_of(mean, deviation, C), Divisor(C), C});
}

void mean_pixels(Stream stream, float* y, const float* images, std::int64_t M, std::int64_t C,
                 std::int64_t size) {
    constexpr std::int64_t max_rows = 256, wanted_threads = 128;
    if (size == 0) return;
    const auto rows = static_cast<unsigned>(std::min(size, max_rows)),
               planes = static_cast<unsigned>(std::max(wanted_threads / rows, std::int64_t{1}));
    launch(mean_of_planes, blocks_for(M * C, planes), dim3(rows, planes),
           shared_array_bytes(static_cast<std::size_t>(size) * planes * sizeof(float)), stream, y, images,
           M * C, size);
}

}  // namespace cuda
