// Philox as a kernel calls it: a thread per (counter, key).
#include "kernels/common/launch.cuh"
#include "kernels/common/philox.h"
#include "tests/unit/kernels/common/philox_device_test.h"

namespace cuda {
namespace {

__global__ void draw(std::uint32_t* words, float* numbers, const PhiloxCounter* counters,
                     const PhiloxKey* keys, std::int64_t count) {
    wait_for_previous_kernel();
    const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const std::array<std::uint32_t, 4> drawn = philox(counters[index], keys[index]);
    for (std::size_t i = 0; i < 4; ++i) {
        words[4 * index + static_cast<std::int64_t>(i)] = drawn[i];
        numbers[4 * index + static_cast<std::int64_t>(i)] = unit_float(drawn[i]);
    }
}

}  // namespace

void philox_words(Stream stream, std::uint32_t* words, float* numbers, const PhiloxCounter* counters,
                  const PhiloxKey* keys, std::int64_t count) {
    constexpr int threads = 128;
    launch(draw, blocks_for(count, threads), threads, 0, stream, words, numbers, counters, keys, count);
}

}  // namespace cuda
