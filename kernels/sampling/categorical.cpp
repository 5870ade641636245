// The sampler calls this on 16 or 32 rows of 256 logits, three times per pixel. So everything happens in a
// row's few kilobytes on the stack, in vector loops. The cumulative sum, which is serial by nature, is not
// carried over all 256 values: sums of blocks of 32 find the block, and only that one is walked.
#include "kernels/sampling/categorical.h"

#include <algorithm>
#include <cassert>
#include <limits>

#include "kernels/common/partition.h"
#include "kernels/common/simd.h"

namespace cpu {

static float maximum_of(const float* z, std::int64_t count) {
    float maximum = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : maximum)
    for (std::int64_t v = 0; v < count; ++v) maximum = z[v] > maximum ? z[v] : maximum;
    return maximum;
}

// z [count] = the guided logits of one row.
static void guide(float* z, const float* conditional, const float* unconditional, std::int64_t count,
                  const Guidance& guidance) {
    const float temperature = guidance.temperature, scale = guidance.scale;
    if (scale == 1.0f) {
#pragma omp simd
        for (std::int64_t v = 0; v < count; ++v) z[v] = conditional[v] * temperature;
        return;
    }
    const float max_c = maximum_of(conditional, count) * temperature;
    const float max_u = maximum_of(unconditional, count) * temperature;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t v = 0; v < count; ++v) {
        z[v] = fast_exp(conditional[v] * temperature - max_c);
        sum += z[v];
    }
    const float least = guidance.filter_threshold * sum;
#pragma omp simd
    for (std::int64_t v = 0; v < count; ++v) {
        const float c = conditional[v] * temperature, plain_u = unconditional[v] * temperature;
        const float floor_u = c - max_c + max_u;
        const float u = z[v] < least && floor_u > plain_u ? floor_u : plain_u;
        z[v] = u + scale * (c - u);
    }
}

// The first index of the largest z; margin: its distance to the second largest.
static std::int32_t largest(const float* z, std::int64_t count, float& margin) {
    const float maximum = maximum_of(z, count);
    auto index = static_cast<std::int32_t>(count - 1);
#pragma omp simd reduction(min : index)
    for (std::int32_t v = 0; v < count; ++v) index = z[v] == maximum && v < index ? v : index;
    float second = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : second)
    for (std::int32_t v = 0; v < count; ++v) second = v != index && z[v] > second ? z[v] : second;
    margin = maximum - second;
    return index;
}

// Draws from softmax(z); z is overwritten. margin: the uniform's distance to the nearer end of the interval
// drawn.
static std::int32_t draw(float* z, std::int64_t count, double uniform, float& margin) {
    constexpr std::int64_t block = 32;
    const float maximum = maximum_of(z, count);
#pragma omp simd
    for (std::int64_t v = 0; v < count; ++v) z[v] = fast_exp(z[v] - maximum);
    double sums[categorical_max_vocabulary / block];
    double total = 0;
    for (std::int64_t first = 0; first < count; first += block) {
        double sum = 0;
        const std::int64_t end = std::min(count, first + block);
#pragma omp simd reduction(+ : sum)
        for (std::int64_t v = first; v < end; ++v) sum += static_cast<double>(z[v]);
        sums[first / block] = sum;
        total += sum;
    }
    const double target = uniform * total;
    std::int64_t value = 0;
    double below = 0;
    while (value + block < count && below + sums[value / block] <= target) {
        below += sums[value / block];
        value += block;
    }
    while (value + 1 < count && below + static_cast<double>(z[value]) <= target)
        below += static_cast<double>(z[value++]);
    const double above = below + static_cast<double>(z[value]);
    margin = static_cast<float>(std::min(target - below, above - target) / total);
    return static_cast<std::int32_t>(value);
}

void categorical_sample(std::int32_t* values, float* margins, const float* conditional,
                        const float* unconditional, const float* uniforms, std::int64_t rows,
                        std::int64_t vocabulary, const Guidance& given, const std::uint8_t* limits) {
    assert(vocabulary <= categorical_max_vocabulary);
    const Guidance guidance = given.now();
    for_each_task(rows, rows * vocabulary, [=](std::int64_t row) {
        float z[categorical_max_vocabulary], margin;
        const float* u = unconditional ? unconditional + row * vocabulary : nullptr;
        guide(z, conditional + row * vocabulary, u, vocabulary, guidance);
        const std::int64_t low = limits ? limits[2 * row] : 0,
                           count = limits ? limits[2 * row + 1] - low + 1 : vocabulary;
        values[row] = static_cast<std::int32_t>(low);
        values[row] += guidance.greedy ? largest(z + low, count, margin)
                                       : draw(z + low, count, static_cast<double>(uniforms[row]), margin);
        if (margins) margins[row] = margin;
    });
}

}  // namespace cpu
