// Common to tests of the kernels' bf16 instantiations, which only the CUDA backend has.
//
//   CUDA_TEST("...") {                              // skipped in a build without the backend
//       const std::vector<bf16> x = to_bf16(uniform(5, 1));
//       std::vector<bf16> y(5);
//       RUN_CUDA(gelu_forward, y, x, 5);
//       CHECK(same_bits(y, to_bf16(...of to_floats(x)...)));
//   }
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/common/bf16.h"
#include "tests/skip.h"
#include "tests/unit/kernels/kernel_check.h"

// As RUN, on the CUDA device, with vectors of any type.
#define RUN_CUDA(kernel, ...)                                                 \
    kernel_check::run(                                                        \
        Device::cuda,                                                         \
        [](Device, auto... all) {                                             \
            if constexpr (cuda_backend_built) cuda::kernel(Stream(), all...); \
        },                                                                    \
        __VA_ARGS__)

namespace kernel_check {

// Half a unit in the last place of a bf16, relative to the number: the largest error of one rounding.
constexpr double bf16_rounding = 0x1p-8;

inline std::vector<bf16> to_bf16(const std::vector<float>& values) {
    std::vector<bf16> rounded;
    for (const float value : values) rounded.push_back(nearest_bf16(value));
    return rounded;
}

inline std::vector<float> to_floats(const std::vector<bf16>& values) {
    std::vector<float> floats;
    for (const bf16 value : values) floats.push_back(to_float(value));
    return floats;
}

// The nearest bf16 numbers, as floats.
inline std::vector<float> rounded_to_bf16(const std::vector<float>& values) {
    return to_floats(to_bf16(values));
}

inline bool same_bits(const std::vector<bf16>& a, const std::vector<bf16>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(bf16)) == 0);
}

// Whether each is the expected one but for one rounding: 2^-8 of itself, and 1e-6 of the largest, by which
// two ways to the unrounded value may differ.
inline bool rounds_to(const std::vector<bf16>& actual, const std::vector<float>& expected) {
    if (actual.size() != expected.size()) return false;
    float largest = 0;
    for (const float value : expected) largest = std::fmax(largest, std::abs(value));
    for (std::size_t i = 0; i < actual.size(); ++i)
        if (!(std::abs(to_float(actual[i]) - expected[i]) <=
              std::abs(expected[i]) * 0x1p-8f + largest * 1e-6f))
            return false;
    return true;
}

// The largest difference beyond `relative` times the expected magnitude; infinite where not a number.
inline double excess_error(const std::vector<float>& actual, const std::vector<double>& expected,
                           double relative) {
    if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
    double excess = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
        const double difference = std::abs(static_cast<double>(actual[i]) - expected[i]);
        if (!(difference <= std::numeric_limits<double>::max()))
            return std::numeric_limits<double>::infinity();
        excess = std::max(excess, difference - relative * std::abs(expected[i]));
    }
    return excess;
}

}  // namespace kernel_check
