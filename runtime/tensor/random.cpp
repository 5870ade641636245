#include "runtime/tensor/random.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

PhiloxKey random_key(std::uint64_t seed, std::string_view purpose) {
    std::uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a, 64 bits
    for (const char character : purpose)
        hash = (hash ^ static_cast<unsigned char>(character)) * 0x100000001B3u;
    const auto words =
        philox({static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(hash >> 32), 0, 0},
               {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    return {words[0], words[1]};
}

float random_uniform(PhiloxKey key, std::uint64_t index, std::uint32_t step) {
    return unit_float(philox(
        {0, static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), step}, key)[0]);
}

// The first of Box and Muller's two normal numbers.
static double box_muller(const std::array<std::uint32_t, 4>& words) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - static_cast<double>(unit_float(words[0]))));
    return radius * std::cos(2.0 * std::numbers::pi * static_cast<double>(unit_float(words[1])));
}

double random_normal(PhiloxKey key, std::int64_t sequence_id, std::uint32_t element, std::uint32_t step) {
    return box_muller(philox({element, static_cast<std::uint32_t>(sequence_id),
                              static_cast<std::uint32_t>(sequence_id >> 32), step},
                             key));
}

// From Gamma(shape, 1), of the counters whose first word is `first`, first + 2, ... (Marsaglia and Tsang, "A
// simple method for generating gamma variables", 2000; below 1, their section 6).
static double random_gamma(PhiloxKey key, double shape, std::int64_t sequence_id, std::uint32_t step,
                           std::uint32_t first) {
    const auto unit = [](std::uint32_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-32; };
    const bool small = shape < 1;
    const double d = (small ? shape + 1 : shape) - 1.0 / 3.0, c = 1 / std::sqrt(9 * d);
    for (std::uint32_t number = first;; number += 2) {
        const auto words = philox({number, static_cast<std::uint32_t>(sequence_id),
                                   static_cast<std::uint32_t>(sequence_id >> 32), step},
                                  key);
        const double x = box_muller(words), root = 1 + c * x, v = root * root * root;
        if (v <= 0 || std::log(unit(words[2])) >= 0.5 * x * x + d - d * v + d * std::log(v)) continue;
        return small ? d * v * std::pow(unit(words[3]), 1 / shape) : d * v;
    }
}

double random_beta(PhiloxKey key, double alpha, double beta, std::int64_t sequence_id, std::uint32_t step) {
    const double a = random_gamma(key, alpha, sequence_id, step, 0),
                 b = random_gamma(key, beta, sequence_id, step, 1);
    return a / (a + b);
}

void random_normal(float* values, std::int64_t count, PhiloxKey key, float deviation) {
    for (std::int64_t i = 0; i < count; ++i)
        values[i] = static_cast<float>(box_muller(philox(
                        {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32), 0, 0}, key))) *
                    deviation;
}

void random_symmetric(float* values, std::int64_t count, PhiloxKey key, float limit) {
    for (std::int64_t i = 0; i < count; ++i) {
        const auto words =
            philox({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32), 0, 0}, key);
        values[i] = (2.0f * unit_float(words[0]) - 1.0f) * limit;
    }
}

void random_order(std::span<std::int32_t> order, PhiloxKey key, std::int64_t sequence_id,
                  std::uint32_t step) {
    std::vector<std::uint64_t> ranked(order.size());  // word, then index: no two are equal
    for (std::size_t i = 0; i < ranked.size(); ++i) {
        const auto words = philox({static_cast<std::uint32_t>(i / 4), static_cast<std::uint32_t>(sequence_id),
                                   static_cast<std::uint32_t>(sequence_id >> 32), step},
                                  key);
        ranked[i] = static_cast<std::uint64_t>(words[i % 4]) << 32 | i;
    }
    std::ranges::sort(ranked);
    std::ranges::transform(ranked, order.begin(),
                           [](std::uint64_t rank) { return static_cast<std::int32_t>(rank & 0xFFFFFFFFu); });
}
