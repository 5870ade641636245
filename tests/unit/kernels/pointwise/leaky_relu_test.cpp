#include "kernels/pointwise/leaky_relu.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

const std::vector<float> slopes = {0.2f, 0};
const std::vector<std::int64_t> counts = {1, 5, 129, 4097, 30001};

}  // namespace

DEVICE_TEST("leaky_relu is the formula, with slope 0 and in place too") {
    for (const std::int64_t count : counts) {
        std::vector<float> x = uniform(count, 1);
        x[0] = 0;
        const std::vector<float> dy = uniform(count, 2);
        for (const float slope : slopes) {
            std::vector<float> y(x.size(), NAN), dx(x.size(), NAN), expected_y = x, expected_dx = dy;
            for (std::size_t i = 0; i < x.size(); ++i)
                if (!(x[i] > 0)) expected_y[i] *= slope, expected_dx[i] *= slope;
            RUN(device, leaky_relu_forward, y, x, slope, count);
            RUN(device, leaky_relu_backward, dx, dy, y, slope, count);
            CAPTURE(count);
            CAPTURE(slope);
            CHECK(same_bits(y, expected_y));
            CHECK(same_bits(dx, expected_dx));
            std::vector<float> in_place = x, gradient = dy;
            RUN(device, leaky_relu_forward, in_place, in_place, slope, count);
            RUN(device, leaky_relu_backward, gradient, gradient, y, slope, count);
            CHECK(same_bits(in_place, y));
            CHECK(same_bits(gradient, dx));
        }
    }
}

CUDA_TEST("leaky_relu in bf16 is the rounded float result") {
    constexpr float slope = 0.2f;
    for (const std::int64_t count : counts) {
        const std::vector<bf16> x = to_bf16(uniform(count, 1)), dy = to_bf16(uniform(count, 2));
        std::vector<bf16> y(x.size()), dx(x.size());
        std::vector<float> float_y(x.size()), float_dx(x.size());
        RUN_CUDA(leaky_relu_forward, y, x, slope, count);
        RUN_CUDA(leaky_relu_forward, float_y, to_floats(x), slope, count);
        RUN_CUDA(leaky_relu_backward, dx, dy, y, slope, count);
        RUN_CUDA(leaky_relu_backward, float_dx, to_floats(dy), to_floats(y), slope, count);
        CHECK(same_bits(y, to_bf16(float_y)));
        CHECK(same_bits(dx, to_bf16(float_dx)));
    }
}
