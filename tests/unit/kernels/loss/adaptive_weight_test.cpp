#include "kernels/loss/adaptive_weight.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

DEVICE_TEST("adaptive_weight is the ratio of norms, and bounded") {
    const auto weight_of = [&](double first, double second) {
        std::vector<float> weight = {NAN};
        const std::vector<double> squared_norms = {first, second};
        RUN(device, adaptive_weight, weight, squared_norms, 0.8f);
        return static_cast<double>(weight[0]);
    };
    CHECK(weight_of(9, 4) == doctest::Approx(0.8 * 3 / (2 + 1e-4)));
    CHECK(weight_of(1e-6, 1e-8) == doctest::Approx(0.8 * 1e-3 / 2e-4));
    CHECK(weight_of(0, 4) == 0);
    CHECK(weight_of(4, 0) == 1e4);
}

DEVICE_TEST("add_weighted adds the weighted array") {
    for (const std::int64_t count : {1, 5, 129, 30001}) {
        std::vector<float> y = uniform(count, 1);
        const std::vector<float> x = uniform(count, 2), weight = {-1.75f};
        std::vector<double> expected = widened(y);
        for (std::size_t i = 0; i < expected.size(); ++i) expected[i] -= 1.75 * static_cast<double>(x[i]);
        RUN(device, add_weighted, y, x, weight, count);
        CAPTURE(count);
        CHECK(relative_error(y, expected) < 2e-7);
    }
}

CUDA_TEST("add_weighted in bf16 is the rounded float result") {
    const std::vector<bf16> x = to_bf16(uniform(1003, 2));
    const std::vector<float> weight = {0.3f};
    std::vector<bf16> y = to_bf16(uniform(1003, 1));
    std::vector<float> float_y = to_floats(y);
    RUN_CUDA(add_weighted, y, x, weight, 1003);
    RUN_CUDA(add_weighted, float_y, to_floats(x), weight, 1003);
    CHECK(same_bits(y, to_bf16(float_y)));
}
