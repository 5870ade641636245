// What the tests of the kernels' bf16 instantiations share, which only the CUDA backend has.
//
//   CUDA_TEST("...") {                              // skipped in a build without the backend
//       const std::vector<bf16> x = to_bf16(uniform(5, 1));
//       std::vector<bf16> y(5);
//       RUN_CUDA(gelu_forward, y, x, 5);
//       CHECK(same_bits(y, to_bf16(...of to_floats(x)...)));
//   }
#pragma once

#include <cstring>
#include <vector>

#include "kernels/bf16.h"
#include "tests/unit/kernel_check.h"

#define CUDA_TEST(name) TEST_CASE(name* doctest::skip(!cuda_backend_built))

// As RUN, on the CUDA device, with vectors of any type.
#define RUN_CUDA(kernel, ...)                                                 \
    kernel_check::run(                                                        \
        Device::cuda,                                                         \
        [](Device, auto... all) {                                             \
            if constexpr (cuda_backend_built) cuda::kernel(Stream(), all...); \
        },                                                                    \
        __VA_ARGS__)

namespace kernel_check {

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

inline bool same_bits(const std::vector<bf16>& a, const std::vector<bf16>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(bf16)) == 0);
}

}  // namespace kernel_check
