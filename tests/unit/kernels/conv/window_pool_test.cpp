#include "kernels/conv/window_pool.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

// Odd sides, windows that overlap, leave rows over or lie partly outside; channels of whole 16 bytes and not.
const std::vector<WindowPoolShape> shapes = {
    {1, 3, 3, 3, 3, 1, 1},    {2, 9, 7, 16, 3, 2, 0}, {3, 8, 5, 7, 3, 1, 1},
    {1, 17, 35, 40, 3, 2, 0}, {2, 6, 6, 8, 5, 3, 2},
};

struct Expected {
    std::vector<double> max, mean;
};

Expected pooled(const std::vector<float>& x, const WindowPoolShape& s) {
    Expected y;
    for (std::int64_t b = 0; b < s.B; ++b)
        for (std::int64_t i = 0; i < s.out_height(); ++i)
            for (std::int64_t j = 0; j < s.out_width(); ++j)
                for (std::int64_t c = 0; c < s.C; ++c) {
                    double largest = -INFINITY, sum = 0;
                    int count = 0;
                    for (std::int64_t p = 0; p < s.window; ++p)
                        for (std::int64_t q = 0; q < s.window; ++q) {
                            const std::int64_t u = i * s.stride + p - s.padding,
                                               v = j * s.stride + q - s.padding;
                            if (u < 0 || u >= s.H || v < 0 || v >= s.W) continue;
                            const double value =
                                x[static_cast<std::size_t>(((b * s.H + u) * s.W + v) * s.C + c)];
                            largest = std::max(largest, value);
                            sum += value;
                            ++count;
                        }
                    y.max.push_back(largest);
                    y.mean.push_back(sum / count);
                }
    return y;
}

std::vector<float> maps_of(const WindowPoolShape& s) {
    return uniform(s.B * s.H * s.W * s.C, 1, -2, 2);
}

}  // namespace

DEVICE_TEST("window pooling agrees with the formula in double") {
    for (const WindowPoolShape& shape : shapes) {
        const std::vector<float> x = maps_of(shape);
        const Expected expected = pooled(x, shape);
        std::vector<float> y(expected.max.size(), NAN);
        CAPTURE(shape.H);
        CAPTURE(shape.C);
        RUN(device, window_max, y, x, shape);
        CHECK(relative_error(y, expected.max) == 0);
        RUN(device, window_mean, y, x, shape);
        CHECK(relative_error(y, expected.mean) < 1e-6);
    }
}

CUDA_TEST("window pooling in bf16 differs from float by its rounding") {
    for (const WindowPoolShape& shape : shapes) {
        const std::vector<bf16> x = to_bf16(maps_of(shape));
        const Expected expected = pooled(to_floats(x), shape);
        std::vector<bf16> y(expected.max.size());
        CAPTURE(shape.C);
        RUN_CUDA(window_max, y, x, shape);
        CHECK(relative_error(to_floats(y), expected.max) == 0);
        RUN_CUDA(window_mean, y, x, shape);
        CHECK(excess_error(to_floats(y), expected.mean, bf16_rounding) < 1e-6);
    }
}
