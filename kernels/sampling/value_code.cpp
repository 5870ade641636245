// As in categorical.cpp, everything is in a row's kilobyte on the stack: weights in a vector loop, then sums of
// blocks of 32, of which one is walked.
#include "kernels/sampling/value_code.h"

#include <algorithm>
#include <limits>

#include "kernels/common/simd.h"

namespace cpu {
namespace {

constexpr int vocabulary = 256, block = 32;
constexpr std::int64_t shared = code_total - vocabulary;  // what the weights share; the rest is one each

struct Weights {
    std::int32_t of[vocabulary];
    std::int64_t block_sums[vocabulary / block], total;

    explicit Weights(const float* logits) {
        float maximum = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : maximum)
        for (int v = 0; v < vocabulary; ++v) maximum = logits[v] > maximum ? logits[v] : maximum;
#pragma omp simd
        for (int v = 0; v < vocabulary; ++v) {
            const float weight = fast_exp(logits[v] - maximum) * 0x1p30f;
            of[v] = weight >= 1.0f ? static_cast<std::int32_t>(weight) : 0;  // of no number, too
        }
        total = 0;
        for (int b = 0; b < vocabulary / block; ++b) {
            std::int64_t sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int v = b * block; v < (b + 1) * block; ++v) sum += of[v];
            block_sums[b] = sum;
            total += sum;
        }
        total = std::max<std::int64_t>(total, 1);
    }

    CodeInterval interval(int value, std::int64_t below) const {
        const std::int64_t start = value + shared * below / total,
                           end = value + 1 + shared * (below + of[value]) / total;
        return {static_cast<std::uint16_t>(start), static_cast<std::uint16_t>(end - start)};
    }
};

}  // namespace

CodeInterval value_interval(const float* logits, std::int32_t value) {
    const Weights weights(logits);
    std::int64_t below = 0;
    for (int b = 0; b < value / block; ++b) below += weights.block_sums[b];
    for (int v = value / block * block; v < value; ++v) below += weights.of[v];
    return weights.interval(value, below);
}

std::int32_t decode_value(const float* logits, CodeLane& lane, const std::uint8_t* bytes) {
    const Weights weights(logits);
    const std::int64_t target = code_target(lane);
    // Whether the interval of `value` starts at the target or before it, without a division.
    const auto reached = [&](int value, std::int64_t below) {
        return shared * below < (target - value + 1) * weights.total;
    };
    int value = 0;
    std::int64_t below = 0;
    while (value + block < vocabulary && reached(value + block, below + weights.block_sums[value / block])) {
        below += weights.block_sums[value / block];
        value += block;
    }
    while (value + 1 < vocabulary && reached(value + 1, below + weights.of[value]))
        below += weights.of[value++];
    remove_value(lane, weights.interval(value, below), bytes);
    return value;
}

}  // namespace cpu
