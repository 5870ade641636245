// A few dozen to a few thousand numbers a call, one thread each: the ten rounds of Philox are hidden by the
// launch. The words, and so the numbers, are those of the CPU bit for bit.
// ptxas budget: 40 registers, no spills
#include "kernels/sampling/uniform.h"

#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"

namespace cuda {
namespace {

constexpr int block_threads = 128;

__global__ void draw(float* values, const std::int64_t* sequence_ids, std::int64_t rows,
                     std::int64_t channels, const PhiloxKey* key) {
    wait_for_previous_kernel();
    const std::int64_t i = thread_index();
    if (i >= channels * rows) return;
    values[i] = uniform_of(static_cast<std::uint32_t>(i / rows), sequence_ids[i % rows], *key);
}

}  // namespace

void uniform_by_sequence(Stream stream, float* values, const std::int64_t* sequence_ids, std::int64_t rows,
                         std::int64_t channels, const PhiloxKey* key) {
    launch(draw, blocks_for(channels * rows, block_threads), block_threads, 0, stream, values, sequence_ids,
           rows, channels, key);
}

}  // namespace cuda
