#include "kernels/conv/position_mean.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

struct Case {
    std::int64_t B, P, C;
    std::vector<float> x = uniform(B * P * C, 1), dy = uniform(B * C, 2);

    std::vector<double> y() const {
        std::vector<double> mean(dy.size());
        for (std::size_t i = 0; i < x.size(); ++i) {
            const auto c = static_cast<std::size_t>(C);
            mean[i / (static_cast<std::size_t>(P) * c) * c + i % c] += x[i] / static_cast<double>(P);
        }
        return mean;
    }
    std::vector<double> dx() const {
        std::vector<double> spread(x.size());
        for (std::size_t i = 0; i < x.size(); ++i) {
            const auto c = static_cast<std::size_t>(C);
            spread[i] = dy[i / (static_cast<std::size_t>(P) * c) * c + i % c] / static_cast<double>(P);
        }
        return spread;
    }
};

const std::vector<Case> cases = {{1, 1, 1}, {3, 64, 40}, {2, 15, 7}, {5, 4, 128}};

}  // namespace

DEVICE_TEST("the mean over positions agrees with the formula in double") {
    for (const Case& c : cases) {
        CAPTURE(c.P);
        CAPTURE(c.C);
        std::vector<float> y(c.dy.size(), NAN), dx(c.x.size(), NAN);
        RUN(device, position_mean_forward, y, c.x, c.B, c.P, c.C);
        RUN(device, position_mean_backward, dx, c.dy, c.B, c.P, c.C);
        CHECK(relative_error(y, c.y()) < 2e-6);
        CHECK(relative_error(dx, c.dx()) < 1e-6);
    }
}

CUDA_TEST("the mean over positions in bf16 differs from float by its rounding") {
    for (Case c : cases) {
        c.x = rounded_to_bf16(c.x), c.dy = rounded_to_bf16(c.dy);
        CAPTURE(c.C);
        std::vector<bf16> y(c.dy.size()), dx(c.x.size());
        RUN_CUDA(position_mean_forward, y, to_bf16(c.x), c.B, c.P, c.C);
        RUN_CUDA(position_mean_backward, dx, to_bf16(c.dy), c.B, c.P, c.C);
        CHECK(excess_error(to_floats(y), c.y(), bf16_rounding) < 2e-6);
        CHECK(excess_error(to_floats(dx), c.dx(), bf16_rounding) < 1e-6);
    }
}
