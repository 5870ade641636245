// A task is a position: its logits are read once into the stack, worked on in vector loops, and the
// cumulative sum, serial by nature, walks over sums of blocks of 32 first.
#include "kernels/sampling/token_draw.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "kernels/common/partition.h"
#include "kernels/common/simd.h"

namespace cpu {
namespace {

constexpr std::int64_t block = 32;
constexpr float coldest = 1e-4f, least = -87;  // of the exponents: e^-87 is next to the smallest float

// The weights e^((z - maximum) / temperature) of a row's codes and their sums over blocks of 32.
struct Weights {
    float each[token_draw_max_codes];
    double blocks[token_draw_max_codes / block];

    double fill(const float* z, float maximum, float temperature, std::int64_t K) {
        const float factor = 1 / temperature;
#pragma omp simd
        for (std::int64_t v = 0; v < K; ++v) {
            const float x = (z[v] - maximum) * factor;
            each[v] = x > least ? fast_exp(x) : 0;  // 0 also where x is not a number
        }
        double total = 0;
        for (std::int64_t first = 0; first < K; first += block) {
            const std::int64_t end = std::min(K, first + block);
            double sum = 0;
#pragma omp simd reduction(+ : sum)
            for (std::int64_t v = first; v < end; ++v) sum += static_cast<double>(each[v]);
            total += blocks[first / block] = sum;
        }
        return total;
    }

    // The smallest v whose cumulative sum exceeds `target`, the last if none does.
    std::int64_t find(double target, std::int64_t K) const {
        std::int64_t value = 0;
        double below = 0;
        while (value + block < K && below + blocks[value / block] <= target)
            below += blocks[value / block], value += block;
        while (value + 1 < K && below + static_cast<double>(each[value]) <= target)
            below += static_cast<double>(each[value++]);
        return value;
    }
};

// z [K] of one row; returns the maximum.
float guide(float* z, const float* conditional, const float* unconditional, float scale, std::int64_t K) {
    if (scale == 0)
        std::copy_n(conditional, K, z);
    else
#pragma omp simd
        for (std::int64_t v = 0; v < K; ++v)
            z[v] = conditional[v] + scale * (conditional[v] - unconditional[v]);
    float maximum = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : maximum)
    for (std::int64_t v = 0; v < K; ++v) maximum = z[v] > maximum ? z[v] : maximum;
    return maximum;
}

}  // namespace

void token_noise(float* uniforms, float* gumbel, const std::int64_t* numbers, const PhiloxKey* key,
                 std::int64_t images, std::int64_t N, std::uint32_t step) {
    for_each_task(images, images * N, [=](std::int64_t image) {
        const auto number = static_cast<std::uint64_t>(numbers[image]);
        for (std::int64_t n = 0; n < N; ++n) {
            const auto words = philox({static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(number),
                                       static_cast<std::uint32_t>(number >> 32), step},
                                      *key);
            uniforms[image * N + n] = unit_float(words[0]);
            gumbel[image * N + n] = -std::log(-std::log(inner_unit_float(words[1])));
        }
    });
}

void token_draw(std::int32_t* filled, float* confidence, std::int32_t* drawn, float* guided,
                const float* conditional, const float* unconditional, const std::int32_t* ids,
                const float* uniforms, const float* gumbel, const DecodingStep* steps,
                std::int64_t rows_per_step, std::int64_t rows, std::int64_t K) {
    assert(K <= token_draw_max_codes);
    for_each_task(rows, rows * K, [=](std::int64_t row) {
        const DecodingStep& now = steps[row / rows_per_step];
        float z[token_draw_max_codes];
        Weights weights;
        const float maximum = guide(z, conditional + row * K, unconditional + (unconditional ? row * K : 0),
                                    now.guidance_scale, K);
        const double plain = weights.fill(z, maximum, 1, K),
                     total = weights.fill(z, maximum, std::max(now.sampling_temperature, coldest), K);
        const std::int64_t value = weights.find(static_cast<double>(uniforms[row]) * total, K);
        const bool masked = ids[row] == K;
        const float noise = now.remask_temperature == 0 ? 0 : now.remask_temperature * gumbel[row];
        const float plain_confidence =
            now.logit_confidence ? z[value] : (z[value] - maximum) - static_cast<float>(std::log(plain));
        filled[row] = masked ? static_cast<std::int32_t>(value) : ids[row];
        confidence[row] = masked ? plain_confidence + noise : std::numeric_limits<float>::infinity();
        if (drawn) drawn[row] = static_cast<std::int32_t>(value);
        if (guided) std::copy_n(z, K, guided + row * K);
    });
}

}  // namespace cpu
