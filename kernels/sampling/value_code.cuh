// One value coded by one warp: the rule of value_code.h, for the kernels that draw. A lane takes a run of
// neighbouring values; sums are of whole numbers, exact in any order.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/common/device_math.cuh"
#include "kernels/sampling/value_code.h"

namespace cuda {

namespace value_code_detail {

constexpr int vocabulary = 256;
constexpr int run = (vocabulary + warp_size - 1) / warp_size | 1;  // odd: other banks of shared memory
constexpr std::int64_t shared = code_total - vocabulary;

// z [256] becomes the weights, as floats, which hold them exactly.
__device__ inline void weigh(float* z) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    float maximum = -INFINITY;
    for (int v = lane; v < vocabulary; v += warp_size) maximum = fmaxf(maximum, z[v]);
    maximum = warp_max(maximum);
    for (int v = lane; v < vocabulary; v += warp_size) {
        const float weight = floorf(expf(z[v] - maximum) * 0x1p30f);
        z[v] = weight >= 1.0f ? weight : 0.0f;  // of no number, too
    }
    __syncwarp();
}

// Of the weights from `first` to before `end`.
__device__ inline std::int64_t sum_of(const float* z, int first, int end) {
    std::int64_t sum = 0;
    for (int v = first; v < end; ++v) sum += static_cast<std::int64_t>(z[v]);
    return sum;
}

// Where the interval of `value` starts. Unsigned: a signed division takes more registers.
__device__ inline std::uint32_t start_of(int value, std::int64_t below, std::int64_t total) {
    return static_cast<std::uint32_t>(value) +
           static_cast<std::uint32_t>(static_cast<std::uint64_t>(shared * below) /
                                      static_cast<std::uint64_t>(total));
}

__device__ inline CodeInterval interval(const float* z, int value, std::int64_t below, std::int64_t total) {
    const std::uint32_t start = start_of(value, below, total),
                        end = start_of(value + 1, below + static_cast<std::int64_t>(z[value]), total);
    return {static_cast<std::uint16_t>(start), static_cast<std::uint16_t>(end - start)};
}

// The value that the target chooses, in every lane, and its interval.
__device__ inline int find_value(const float* z, std::int64_t target, CodeInterval& found) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size, first = min(lane * run, vocabulary);
    const std::int64_t own = sum_of(z, first, min(first + run, vocabulary));
    std::int64_t before = own;  // of this lane's run
    for (int distance = 1; distance < warp_size; distance *= 2) {
        const std::int64_t other =
            __shfl_up_sync(all_lanes, before, static_cast<unsigned>(distance));
        if (lane >= distance) before += other;
    }
    const std::int64_t sum = __shfl_sync(all_lanes, before, warp_size - 1),
                       total = sum > 0 ? sum : 1;
    before -= own;
    const auto reached = [&](int value, std::int64_t below) {
        return shared * below < (target - value + 1) * total;
    };
    const unsigned starts = __ballot_sync(all_lanes, first < vocabulary && reached(first, before));
    const int owner = warp_size - 1 - __clz(static_cast<int>(starts));
    std::int64_t below = __shfl_sync(all_lanes, before, owner);
    int value = owner * run;
    while (value + 1 < vocabulary && reached(value + 1, below + static_cast<std::int64_t>(z[value])))
        below += static_cast<std::int64_t>(z[value++]);
    found = interval(z, value, below, total);
    return value;
}

}  // namespace value_code_detail

// The given or decoded value of a channel of a draw's pixel, in every lane: z [256], the logits, which any lane
// may have written before a barrier; overwritten, and free after the next barrier. Not inlined: its divisions of 64
// bits would take registers from the sampler's products.
__device__ __attribute__((noinline)) inline int code_value(float* z, const PixelCode& code, std::int64_t draw, int channel,
                                 int channels) {
    using namespace value_code_detail;
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    weigh(z);
    if (code.decodes()) {
        const std::int64_t picture = code.picture_of(draw);
        CodeLane state = code.lanes[picture];
        CodeInterval found;
        const int value = find_value(z, code_target(state), found);
        if (lane == 0) {
            remove_value(state, found, code.bytes_of(picture, channels));
            code.lanes[picture] = state;
        }
        return value;
    }
    const std::int64_t at = code.pixels[draw] * channels + channel;
    const int value = code.given[at], first = min(lane * run, vocabulary), end = min(first + run, vocabulary);
    const std::int64_t total = warp_sum(sum_of(z, first, end)),
                       below = warp_sum(sum_of(z, min(first, value), min(end, value)));
    if (lane == 0) code.intervals[at] = interval(z, value, below, total > 0 ? total : 1);
    return value;
}

}  // namespace cuda
