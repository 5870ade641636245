// Reference of the attention tests: the definition in double precision, one loop per sum, no tiles, no
// recomputation.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kernels/attention/attention.h"

namespace attention_check {

inline std::size_t width_of(const AttentionShape& s) {
    return static_cast<std::size_t>(s.heads * s.head_dim);
}
inline std::size_t tokens_of(const AttentionShape& s) {
    return static_cast<std::size_t>(s.sequences * s.length);
}

inline std::vector<float> random_floats(std::size_t count, unsigned seed, float deviation = 1) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal(0, deviation);
    std::vector<float> values(count);
    for (float& v : values) v = normal(generator);
    return values;
}

struct Reference {
    std::vector<double> out, log_sum_exp, d_qkv;
};

// The stated rule, one element at a time: 0 or 1 / (1 - p).
inline double dropout_factor(const AttentionShape& shape, const AttentionDropout& dropout, std::int64_t s,
                             std::int64_t h, std::int64_t i, std::int64_t j) {
    if (dropout.probability == 0) return 1;
    const auto e = static_cast<std::uint64_t>((h * shape.length + i) * shape.length + j);
    const auto id = static_cast<std::uint64_t>(dropout.sequence_ids[s]);
    const auto words =
        philox({static_cast<std::uint32_t>(e / 4), static_cast<std::uint32_t>(id & 0xFFFFFFFFu),
                static_cast<std::uint32_t>(id >> 32), dropout.step},
               dropout.key);
    return unit_float(words[e % 4]) >= dropout.probability
               ? 1 / (1 - static_cast<double>(dropout.probability))
               : 0;
}

// One query: scores, weights, output and, given d_out, the gradients that pass through its row.
inline void reference_row(Reference& result, const std::vector<double>& qkv, const float* d_out,
                          const AttentionShape& shape, const AttentionDropout& dropout, std::int64_t s,
                          std::int64_t h, std::int64_t i) {
    const std::int64_t L = shape.length, d = shape.head_dim, width = shape.heads * d;
    const auto at = [&](std::int64_t token, int part, std::int64_t c) {
        return static_cast<std::size_t>(((s * L + token) * 3 + part) * width + h * d + c);
    };
    const std::int64_t keys = shape.causal ? i + 1 : L;
    const double scale = 1 / std::sqrt(static_cast<double>(d));
    std::vector<double> p(static_cast<std::size_t>(keys)), d_p(p);
    double maximum = -1e300, sum = 0, mean = 0;
    for (std::int64_t j = 0; j < keys; ++j) {
        double score = 0;
        for (std::int64_t c = 0; c < d; ++c) score += qkv[at(i, 0, c)] * qkv[at(j, 1, c)] * scale;
        p[static_cast<std::size_t>(j)] = score;
        maximum = std::max(maximum, score);
    }
    for (double score : p) sum += std::exp(score - maximum);
    const double lse = maximum + std::log(sum);
    result.log_sum_exp[static_cast<std::size_t>((s * shape.heads + h) * L + i)] = lse;
    const auto out_row = static_cast<std::size_t>((s * L + i) * width + h * d);
    for (std::size_t j = 0; j < p.size(); ++j) {
        const auto key = static_cast<std::int64_t>(j);
        const double z = dropout_factor(shape, dropout, s, h, i, key);
        p[j] = std::exp(p[j] - lse);
        for (std::int64_t c = 0; c < d; ++c)
            result.out[out_row + static_cast<std::size_t>(c)] += z * p[j] * qkv[at(key, 2, c)];
        for (std::int64_t c = 0; d_out != nullptr && c < d; ++c) {
            const double g = d_out[out_row + static_cast<std::size_t>(c)];
            d_p[j] += z * g * qkv[at(key, 2, c)];
            result.d_qkv[at(key, 2, c)] += z * p[j] * g;
        }
        mean += p[j] * d_p[j];
    }
    for (std::size_t j = 0; d_out != nullptr && j < p.size(); ++j) {
        const auto key = static_cast<std::int64_t>(j);
        const double d_score = p[j] * (d_p[j] - mean) * scale;
        for (std::int64_t c = 0; c < d; ++c) {
            result.d_qkv[at(i, 0, c)] += d_score * qkv[at(key, 1, c)];
            result.d_qkv[at(key, 1, c)] += d_score * qkv[at(i, 0, c)];
        }
    }
}

inline Reference reference(const std::vector<double>& qkv, const float* d_out, const AttentionShape& shape,
                           const AttentionDropout& dropout) {
    Reference result;
    result.out.assign(tokens_of(shape) * width_of(shape), 0);
    result.log_sum_exp.assign(tokens_of(shape) * static_cast<std::size_t>(shape.heads), 0);
    result.d_qkv.assign(qkv.size(), 0);
    for (std::int64_t s = 0; s < shape.sequences; ++s)
        for (std::int64_t h = 0; h < shape.heads; ++h)
            for (std::int64_t i = 0; i < shape.length; ++i)
                reference_row(result, qkv, d_out, shape, dropout, s, h, i);
    return result;
}

// Largest error relative to the largest magnitude; infinite if anything is not a number.
inline double relative_error(const std::vector<float>& values, const std::vector<double>& expected) {
    double error = 0, magnitude = 1e-3;
    for (std::size_t n = 0; n < expected.size(); ++n) {
        if (!std::isfinite(values[n])) return std::numeric_limits<double>::infinity();
        error = std::max(error, std::fabs(values[n] - expected[n]));
        magnitude = std::max(magnitude, std::fabs(expected[n]));
    }
    return error / magnitude;
}

}  // namespace attention_check
