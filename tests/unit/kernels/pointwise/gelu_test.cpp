#include "kernels/pointwise/gelu.h"

#include <doctest/doctest.h>

#include <numbers>

#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

double reference(double x) {
    return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
}

const std::vector<std::int64_t> counts = {1, 5, 16, 129, 4097, 30001};

}  // namespace

DEVICE_TEST("gelu forward agrees with the formula in double") {
    for (const std::int64_t count : counts) {
        const std::vector<float> x = uniform(count, 5, -8, 8);
        std::vector<float> y(x.size());
        RUN(device, gelu_forward, y, x, count);
        double worst = 0;
        for (std::size_t i = 0; i < x.size(); ++i)
            worst = std::max(worst, std::abs(y[i] - reference(x[i])) / std::abs(x[i]));
        CAPTURE(count);
        CHECK(worst < 3e-7);
        std::vector<float> in_place = x;
        RUN(device, gelu_forward, in_place, in_place, count);
        CHECK(same_bits(in_place, y));
    }
}

DEVICE_TEST("gelu backward agrees with central differences") {
    for (const std::int64_t count : counts) {
        const std::vector<float> x = uniform(count, 5, -8, 8), dy = uniform(count, 6);
        std::vector<float> dx(x.size(), NAN);
        RUN(device, gelu_backward, dx, dy, x, count);
        double worst = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double slope = (reference(x[i] + 1e-5) - reference(x[i] - 1e-5)) / 2e-5;
            worst = std::max(worst, std::abs(dx[i] - dy[i] * slope) / std::abs(dy[i]));
        }
        CAPTURE(count);
        CHECK(worst < 5e-7);
        std::vector<float> in_place = dy;
        RUN(device, gelu_backward, in_place, in_place, x, count);
        CHECK(same_bits(in_place, dx));
    }
}

DEVICE_TEST("gelu of large arguments is the identity or zero") {
    const std::vector<float> x = {-1e4f, -40.0f, 0.0f, 40.0f, 1e4f};
    std::vector<float> y(5), dx(5);
    const std::vector<float> dy(5, 1.0f);
    RUN(device, gelu_forward, y, x, 5);
    RUN(device, gelu_backward, dx, dy, x, 5);
    CHECK(relative_error(y, {0, 0, 0, 40, 1e4}) < 1e-7);
    CHECK(relative_error(dx, {0, 0, 0.5, 1, 1}) < 1e-6);
}

DEVICE_TEST("gelu does not depend on the number of threads") {
    CHECK(same_for_any_threads([&] {
        std::vector<float> x = uniform(30001, 5, -6, 6);
        RUN(device, gelu_forward, x, x, 30001);
        return x;
    }));
}
