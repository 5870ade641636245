// One draw by one warp: the rule of categorical.h, for the kernels that draw.
//
// The sums. A lane takes a run of neighbouring values, a scan over the lanes finds the run that holds the
// draw, and that run is walked. Sums in another order than the CPU's would round differently, and a value of
// probability zero could be drawn where the scan and the walk disagree by the last bit. So sums are exact:
// every e^(z - max) is truncated to a multiple of 2^-40, which loses less than 2^-40 of the largest
// probability (the uniforms are multiples of 2^-24), and at most 2^12 such numbers, each at most 2^40, have
// sums below 2^53, exact in double in any order. Values truncated to 0 are never drawn.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/common/device_math.cuh"
#include "kernels/sampling/categorical.h"

namespace cuda {

// Arguments common to all rows, and the draw of one row. Every function is called by all lanes of a warp with
// the same arguments.
namespace categorical_detail {

// The guided logits in place of the conditional ones in z [count], seen by all lanes.
__device__ inline void guide(float* z, const float* unconditional, int count, const Guidance& guidance) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    const float temperature = guidance.temperature, scale = guidance.scale;
    if (scale == 1.0f) {
        for (int v = lane; v < count; v += warp_size) z[v] *= temperature;
        __syncwarp();
        return;
    }
    float max_c = -INFINITY, max_u = -INFINITY, sum = 0;
    for (int v = lane; v < count; v += warp_size) {
        max_c = fmaxf(max_c, z[v] * temperature);
        max_u = fmaxf(max_u, unconditional[v] * temperature);
    }
    max_c = warp_max(max_c);
    max_u = warp_max(max_u);
    for (int v = lane; v < count; v += warp_size) sum += expf(z[v] * temperature - max_c);
    const float least = guidance.filter_threshold * warp_sum(sum);
    for (int v = lane; v < count; v += warp_size) {
        const float c = z[v] * temperature, plain_u = unconditional[v] * temperature;
        const float floor_u = c - max_c + max_u;
        const float u = expf(c - max_c) < least ? fmaxf(floor_u, plain_u) : plain_u;
        z[v] = u + scale * (c - u);
    }
    __syncwarp();
}

__device__ inline float maximum_of(const float* z, int count) {
    float maximum = -INFINITY;
    for (int v = static_cast<int>(threadIdx.x) % warp_size; v < count; v += warp_size)
        maximum = fmaxf(maximum, z[v]);
    return warp_max(maximum);
}

// The first index of the largest z; margin: its distance to the second largest.
__device__ inline int largest(const float* z, int count, float& margin) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    const float maximum = maximum_of(z, count);
    int index = count - 1;
    for (int v = lane; v < count; v += warp_size)
        if (z[v] == maximum) index = min(index, v);
    for (int distance = warp_size / 2; distance > 0; distance /= 2)
        index = min(index, __shfl_xor_sync(all_lanes, index, distance));
    float second = -INFINITY;
    for (int v = lane; v < count; v += warp_size)
        if (v != index) second = fmaxf(second, z[v]);
    margin = maximum - warp_max(second);
    return index;
}

// The sum over this lane and those before it.
__device__ inline double inclusive_sum(double x) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    for (int distance = 1; distance < warp_size; distance *= 2) {
        const double before = __shfl_up_sync(all_lanes, x, static_cast<unsigned>(distance));
        if (lane >= distance) x += before;
    }
    return x;
}

// Draws from softmax(z); z is overwritten. margin: the uniform's distance to the nearer end of the interval
// drawn.
__device__ inline int draw(float* z, int count, double uniform, float& margin) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    const float maximum = maximum_of(z, count);
    for (int v = lane; v < count; v += warp_size) z[v] = floorf(expf(z[v] - maximum) * 0x1p40f);
    __syncwarp();
    // Of an odd length: the lanes' runs then start in different banks of shared memory.
    const int run = (count + warp_size - 1) / warp_size | 1;
    double sum = 0;
    for (int v = lane * run; v < min(count, (lane + 1) * run); ++v) sum += static_cast<double>(z[v]);
    const double up_to = inclusive_sum(sum);
    const double total = __shfl_sync(all_lanes, up_to, warp_size - 1), target = uniform * total;
    const unsigned beyond = __ballot_sync(all_lanes, up_to > target);
    const int owner = beyond == 0 ? warp_size - 1 : __ffs(static_cast<int>(beyond)) - 1;
    double below = __shfl_sync(all_lanes, up_to - sum, owner);
    int value = min(owner * run, count - 1);
    while (value + 1 < count && below + static_cast<double>(z[value]) <= target)
        below += static_cast<double>(z[value++]);
    const double above = below + static_cast<double>(z[value]);
    margin = static_cast<float>(fmin(target - below, above - target) / total);
    return value;
}

}  // namespace categorical_detail

// The value drawn from a row of logits, in every lane: z [count], count <= 4096, the conditional ones, which
// any lane may have written before a barrier; overwritten, and free after the next barrier. unconditional
// [count] may be null when scale is 1; the value lies between low and high.
__device__ inline int draw_categorical(float* z, const float* unconditional, int count, float uniform,
                                       int low, int high, const Guidance& given, float& margin) {
    using namespace categorical_detail;
    const Guidance guidance = given.now();
    guide(z, unconditional, count, guidance);
    const int allowed = high - low + 1;
    return low + (guidance.greedy ? largest(z + low, allowed, margin)
                                  : draw(z + low, allowed, static_cast<double>(uniform), margin));
}

}  // namespace cuda
