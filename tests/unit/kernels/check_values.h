// Common to tests of numbers: reproducible inputs, error measures, and the check that results do not depend on
// the number of threads.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/common/threads.h"

namespace kernel_check {

// Sizes around the edges of vectors, slices and blocks.
inline const std::vector<std::int64_t> row_counts = {1, 3, 17, 257};
inline const std::vector<std::int64_t> widths = {1, 5, 48, 64, 129, 768};

inline std::vector<float> uniform(std::int64_t count, unsigned seed, float low = -1, float high = 1) {
    std::mt19937 engine(seed);
    std::uniform_real_distribution<float> distribution(low, high);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = distribution(engine);
    return values;
}

inline std::vector<std::int32_t> integers(std::int64_t count, unsigned seed, std::int32_t bound) {
    std::mt19937 engine(seed);
    std::uniform_int_distribution<std::int32_t> distribution(0, bound - 1);
    std::vector<std::int32_t> values(static_cast<std::size_t>(count));
    for (std::int32_t& value : values) value = distribution(engine);
    return values;
}

// The largest difference relative to the largest expected magnitude; infinite where either is not a number.
inline double relative_error(const std::vector<float>& actual, const std::vector<double>& expected) {
    if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
    double difference = 0, magnitude = 1e-30;
    for (std::size_t i = 0; i < actual.size(); ++i) {
        const double d = std::abs(static_cast<double>(actual[i]) - expected[i]);
        if (!(d <= std::numeric_limits<double>::max())) return std::numeric_limits<double>::infinity();
        difference = std::max(difference, d);
        magnitude = std::max(magnitude, std::abs(expected[i]));
    }
    return difference / magnitude;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

// Whether compute(), which returns a vector<float>, gives the same bits on 1, 2 and 3 threads (and so, on a
// GPU, three times).
template <class Compute>
bool same_for_any_threads(Compute compute) {
    const int before = cpu::thread_count();
    cpu::set_thread_count(1);
    const std::vector<float> reference = compute();
    bool same = true;
    for (const int threads : {2, 3, 8}) {
        cpu::set_thread_count(threads);
        same = same && same_bits(compute(), reference);
    }
    cpu::set_thread_count(before);
    return same;
}

// d loss / d input by central differences, loss(vector<double>) -> double.
template <class Loss>
std::vector<double> central_differences(std::vector<double> input, Loss loss) {
    std::vector<double> gradient(input.size());
    for (std::size_t i = 0; i < input.size(); ++i) {
        const double value = input[i], step = 1e-5;
        input[i] = value + step;
        const double above = loss(input);
        input[i] = value - step;
        const double below = loss(input);
        input[i] = value;
        gradient[i] = (above - below) / (2 * step);
    }
    return gradient;
}

inline std::vector<double> widened(const std::vector<float>& values) {
    return {values.begin(), values.end()};
}

}  // namespace kernel_check
