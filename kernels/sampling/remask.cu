// A block per image. The m-th smallest key is found by a radix select, highest bit first: among the keys with
// the prefix found so far, those with a 0 as the next bit are counted; if there are at least as many as the
// remaining rank, the bit is 0. 32 counts over numbers in shared memory with a barrier each, exact and the
// same in every run; sorting a few hundred numbers takes longer.
//
// ptxas budget: 32 registers, no spills
#include "kernels/sampling/remask.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"

namespace cuda {
namespace {

constexpr std::int64_t most_threads = 256;

__global__ void remask_image(std::int32_t* ids, const std::int32_t* filled, const float* confidence,
                             const std::int32_t* ranks, const DecodingStep* steps, int images_per_step,
                             std::int64_t guidance_rows, int N, std::int32_t K) {
    wait_for_previous_kernel();
    SharedMemory shared;
    auto* keys = shared.take<std::uint32_t>(static_cast<std::size_t>(N));
    int* parts = shared.take<int>(2 * warp_size);
    const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * N;
    const int number = static_cast<int>(blockIdx.x) / images_per_step;
    const DecodingStep* step = steps + number;
    const float* counted = confidence + static_cast<std::int64_t>(number) * images_per_step * N;
    const bool by_rank = step->by_rank;
    int masked = 0;
    for (int n = static_cast<int>(threadIdx.x); n < N; n += static_cast<int>(blockDim.x)) {
        masked += counted[n] != INFINITY;
        const float own = confidence[first + n];
        keys[n] = ordered_bits(by_rank && own != INFINITY ? -static_cast<float>(ranks[n]) : own);
    }
    // A thread reads only its own keys. Consecutive counts alternate between two halves of `parts`.
    int rank = static_cast<int>(remasked_count(block_sum(masked, parts), *step));
    std::uint32_t cut = 0;  // and stays so if the rank is 0: below every confidence
    for (int bit = 31; bit >= 0; --bit) {
        int below = 0;
        for (int n = static_cast<int>(threadIdx.x); n < N; n += static_cast<int>(blockDim.x))
            below += keys[n] >> bit == cut >> bit;
        below = block_sum(below, parts + (bit % 2) * warp_size);
        if (rank > below) {
            rank -= below;
            cut |= 1u << bit;
        }
    }
    const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * N;
    for (int n = static_cast<int>(threadIdx.x); n < N; n += static_cast<int>(blockDim.x)) {
        const std::int32_t id = keys[n] <= cut ? K : filled[first + n];
        for (std::int64_t half = 0; half < guidance_rows; ++half) ids[half * stride + first + n] = id;
    }
}

}  // namespace

void remask(Stream stream, std::int32_t* ids, const std::int32_t* filled, const float* confidence,
            const std::int32_t* ranks, const DecodingStep* steps, std::int64_t images_per_step,
            std::int64_t images, std::int64_t guidance_rows, std::int64_t N, std::int64_t K) {
    assert(N <= cpu::remask_max_positions);
    const std::int64_t threads = std::min(most_threads, (N + warp_size - 1) / warp_size * warp_size);
    launch(remask_image, blocks_for(images, 1), static_cast<unsigned>(threads),
           shared_array_bytes(static_cast<std::size_t>(N) * sizeof(std::uint32_t)) +
               shared_array_bytes(2 * warp_size * sizeof(int)),
           stream, ids, filled, confidence, ranks, steps, static_cast<int>(images_per_step), guidance_rows,
           static_cast<int>(N), static_cast<std::int32_t>(K));
}

}  // namespace cuda
