// A block per position. Its logits are read once, 16 bytes at a time, combined for guidance and kept in
// shared memory: every thread then takes a run of neighbouring codes, and a scan over the block finds the
// thread whose run contains the draw, which walks its run and writes the results. The number of threads
// follows the number of codes, 8 each up to 4,096: barriers cost less with fewer warps.
//
// The sums. Sums in another order would round differently, and where the scan and the walk disagree by the
// last bit a code of probability zero could be drawn. So every e^(z - max) is truncated to a multiple of
// 2^-40 (the uniforms are multiples of 2^-24), and the sums are integers, the same in any order: 24,576
// numbers of at most 2^40 have 2^55.
//
// ptxas budget: 48 registers, no spills
#include "kernels/sampling/token_draw.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "kernels/common/launch.cuh"
#include "kernels/common/rows.cuh"

namespace cuda {
namespace {

using Sum = unsigned long long;
constexpr int noise_threads = 128, codes_per_thread = 8, most_threads = 512;
constexpr float coldest = 1e-4f;

__global__ void noise(float* uniforms, float* gumbel, const std::int64_t* numbers, const PhiloxKey* key,
                      std::int64_t count, Divisor N, std::uint32_t step) {
    wait_for_previous_kernel();
    const std::int64_t row = thread_index();
    if (row >= count) return;
    const auto number = static_cast<std::uint64_t>(numbers[N.quotient(static_cast<std::uint32_t>(row))]);
    const auto words =
        philox({N.remainder(static_cast<std::uint32_t>(row)), static_cast<std::uint32_t>(number),
                static_cast<std::uint32_t>(number >> 32), step},
               *key);
    uniforms[row] = unit_float(words[0]);
    gumbel[row] = -logf(-logf(inner_unit_float(words[1])));
}

template <class T>
struct Draw {
    std::int32_t *filled, *drawn;
    float* confidence;
    T* guided;
    const T *conditional, *unconditional;
    const std::int32_t* ids;
    const float *uniforms, *gumbel;
    const DecodingStep* steps;
    Divisor rows_per_step;
    int K;
};

// The row's guided logits in z [K]; returns the maximum of those that this thread loaded.
template <int n, class T>
__device__ float guide(float* z, const Draw<T>& draw, float scale) {
    const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * draw.K;
    float maximum = -INFINITY;
    for (int first = static_cast<int>(threadIdx.x) * n; first < draw.K;
         first += static_cast<int>(blockDim.x) * n) {
        float values[n];
        load_elements<n>(values, draw.conditional + row + first);
        if (scale != 0) {
            float others[n];
            load_elements<n>(others, draw.unconditional + row + first);
#pragma unroll
            for (int i = 0; i < n; ++i) values[i] += scale * (values[i] - others[i]);
        }
        store_elements<n>(z + first, values);
        if (draw.guided) store_elements<n>(draw.guided + row + first, values);
#pragma unroll
        for (int i = 0; i < n; ++i) maximum = fmaxf(maximum, values[i]);
    }
    return maximum;
}

// e^x in units of 2^-40; 0 if x is not a number.
__device__ Sum weight(float x) {
    const float scaled = expf(x) * 0x1p40f;
    return scaled > 0 ? static_cast<Sum>(scaled) : 0;
}

// The sum over this thread and those before it in the block; `total` over all. parts: shared, for a number
// per warp.
__device__ Sum block_scan(Sum x, Sum* parts, Sum& total) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size,
              warp = static_cast<int>(threadIdx.x) / warp_size,
              warps = static_cast<int>(blockDim.x) / warp_size;
    for (int distance = 1; distance < warp_size; distance *= 2) {
        const Sum before = __shfl_up_sync(all_lanes, x, static_cast<unsigned>(distance));
        if (lane >= distance) x += before;
    }
    if (lane == warp_size - 1) parts[warp] = x;
    __syncthreads();
    total = 0;
    for (int i = 0; i < warps; ++i) {
        if (i == warp) x += total;
        total += parts[i];
    }
    return x;
}

template <class T>
__device__ void write(const Draw<T>& draw, int value, float confidence, float remask_temperature) {
    const std::int64_t row = blockIdx.x;
    const std::int32_t id = draw.ids[row];
    const bool masked = id == draw.K;
    const float noise = remask_temperature == 0 ? 0.0f : remask_temperature * draw.gumbel[row];
    draw.filled[row] = masked ? value : id;
    draw.confidence[row] = masked ? confidence + noise : INFINITY;
    if (draw.drawn) draw.drawn[row] = value;
}

template <int n, class T>
__global__ void draw_row(Draw<T> draw) {
    wait_for_previous_kernel();
    SharedMemory shared;
    float* z = shared.take<float>(static_cast<std::size_t>(draw.K));
    Sum *plain_parts = shared.take<Sum>(warp_size), *parts = shared.take<Sum>(warp_size);
    float* maxima = shared.take<float>(warp_size);
    const DecodingStep step = draw.steps[draw.rows_per_step.quotient(blockIdx.x)];
    const float maximum = block_max(guide<n>(z, draw, step.guidance_scale), maxima);  // z is complete

    // Of an odd length: the threads' runs then start in different banks of shared memory.
    const int run = (draw.K + static_cast<int>(blockDim.x) - 1) / static_cast<int>(blockDim.x) | 1,
              first = min(static_cast<int>(threadIdx.x) * run, draw.K), end = min(first + run, draw.K);
    const float factor = 1 / fmaxf(step.sampling_temperature, coldest);
    Sum plain = 0, sum = 0, total;
    for (int v = first; v < end; ++v) {
        plain += weight(z[v] - maximum);
        sum += weight((z[v] - maximum) * factor);
    }
    const float log_sum = logf(static_cast<float>(block_sum(plain, plain_parts)) * 0x1p-40f);
    const auto confidence = [&](int v) { return step.logit_confidence ? z[v] : z[v] - maximum - log_sum; };
    const Sum up_to = block_scan(sum, parts, total);
    const Sum target =
        static_cast<Sum>(static_cast<double>(draw.uniforms[blockIdx.x]) * static_cast<double>(total));
    if (up_to - sum <= target && target < up_to) {
        int value = first;
        for (Sum below = up_to - sum + weight((z[value] - maximum) * factor); below <= target;)
            below += weight((z[++value] - maximum) * factor);
        write(draw, value, confidence(value), step.remask_temperature);
    } else if (threadIdx.x == 0 && target >= total) {
        write(draw, draw.K - 1, confidence(draw.K - 1), step.remask_temperature);
    }
}

}  // namespace

void token_noise(Stream stream, float* uniforms, float* gumbel, const std::int64_t* numbers,
                 const PhiloxKey* key, std::int64_t images, std::int64_t N, std::uint32_t step) {
    launch(noise, blocks_for(images * N, noise_threads), noise_threads, 0, stream, uniforms, gumbel, numbers,
           key, images * N, Divisor(N), step);
}

template <class T>
void token_draw(Stream stream, std::int32_t* filled, float* confidence, std::int32_t* drawn,
                std::type_identity_t<T>* guided, const T* conditional,
                const std::type_identity_t<T>* unconditional, const std::int32_t* ids, const float* uniforms,
                const float* gumbel, const DecodingStep* steps, std::int64_t rows_per_step, std::int64_t rows,
                std::int64_t K) {
    assert(K <= cpu::token_draw_max_codes);
    const Draw<T> draw{filled,
                       drawn,
                       confidence,
                       guided,
                       conditional,
                       unconditional,
                       ids,
                       uniforms,
                       gumbel,
                       steps,
                       Divisor(rows_per_step),
                       static_cast<int>(K)};
    const std::int64_t warps = (K + codes_per_thread * warp_size - 1) / (codes_per_thread * warp_size);
    const auto threads = static_cast<unsigned>(std::min<std::int64_t>(warps * warp_size, most_threads));
    const std::size_t bytes = shared_array_bytes(static_cast<std::size_t>(K) * sizeof(float)) +
                              2 * shared_array_bytes(warp_size * sizeof(Sum)) +
                              shared_array_bytes(warp_size * sizeof(float));
    constexpr int n = Packed<T>::count;
    if (K % n == 0 && aligned(conditional, unconditional, guided))
        launch(draw_row<n, T>, blocks_for(rows, 1), threads, bytes, stream, draw);
    else
        launch(draw_row<1, T>, blocks_for(rows, 1), threads, bytes, stream, draw);
}
template void token_draw<float>(Stream, std::int32_t*, float*, std::int32_t*, float*, const float*,
                                const float*, const std::int32_t*, const float*, const float*,
                                const DecodingStep*, std::int64_t, std::int64_t, std::int64_t);
template void token_draw<bf16>(Stream, std::int32_t*, float*, std::int32_t*, bf16*, const bf16*, const bf16*,
                               const std::int32_t*, const float*, const float*, const DecodingStep*,
                               std::int64_t, std::int64_t, std::int64_t);

}  // namespace cuda
