#include "kernels/pointwise/quick_gelu.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

double reference(double x) {
    return x / (1 + std::exp(-1.702 * x));
}

}  // namespace

DEVICE_TEST("quick_gelu: values and slopes are the formula's, in place too") {
    for (const std::int64_t count : {1, 5, 16, 129, 30001}) {
        const std::vector<float> x = uniform(count, 5, -9, 9), dy = uniform(count, 6);
        std::vector<float> y(x.size(), NAN), dx(y);
        RUN(device, quick_gelu_forward, y, x, count);
        RUN(device, quick_gelu_backward, dx, dy, x, count);
        double value = 0, slope = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double expected = (reference(x[i] + 1e-5) - reference(x[i] - 1e-5)) / 2e-5;
            value = std::max(value, std::abs(y[i] - reference(x[i])) / std::abs(x[i]));
            slope = std::max(slope, std::abs(dx[i] - dy[i] * expected) / std::abs(dy[i]));
        }
        CAPTURE(count);
        CHECK(value < 3e-7);
        CHECK(slope < 1e-6);
        std::vector<float> in_place = x, gradient = dy;
        RUN(device, quick_gelu_forward, in_place, in_place, count);
        RUN(device, quick_gelu_backward, gradient, gradient, x, count);
        CHECK(same_bits(in_place, y));
        CHECK(same_bits(gradient, dx));
    }
    const std::vector<float> x = {-1e4f, -100, 0, 100, 1e4f};
    std::vector<float> y(5);
    RUN(device, quick_gelu_forward, y, x, 5);
    CHECK(std::abs(y[0]) < 1e-30f);
    CHECK(std::abs(y[1]) < 1e-30f);
    CHECK(std::vector<float>(y.begin() + 2, y.end()) == std::vector<float>{0, 100, 1e4f});
}

CUDA_TEST("quick_gelu in bf16 is the rounded float result") {
    for (const std::int64_t count : {7, 4096}) {
        const std::vector<bf16> x = to_bf16(uniform(count, 5, -9, 9)), dy = to_bf16(uniform(count, 6));
        std::vector<bf16> y(x.size()), dx(x.size());
        std::vector<float> float_y(x.size()), float_dx(x.size());
        RUN_CUDA(quick_gelu_forward, y, x, count);
        RUN_CUDA(quick_gelu_backward, dx, dy, x, count);
        RUN(Device::cuda, quick_gelu_forward, float_y, to_floats(x), count);
        RUN(Device::cuda, quick_gelu_backward, float_dx, to_floats(dy), to_floats(x), count);
        CHECK(rounds_to(y, float_y));
        CHECK(rounds_to(dx, float_dx));
    }
}
