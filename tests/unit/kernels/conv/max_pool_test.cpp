#include "kernels/conv/max_pool.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

// One cell, odd sides (a last row and column that no cell has), whole 16 bytes of channels, one row only.
const std::vector<MaxPoolShape> shapes = {
    {1, 2, 2, 3}, {2, 7, 5, 7}, {3, 4, 6, 16}, {2, 17, 34, 40}, {2, 1, 4, 8}};

std::size_t element(const MaxPoolShape& s, std::int64_t b, std::int64_t i, std::int64_t j, std::int64_t c) {
    return static_cast<std::size_t>(((b * s.H + i) * s.W + j) * s.C + c);
}

// The positions whose value each cell's maximum is, the first among equals, element by element of y.
std::vector<std::size_t> winners(const MaxPoolShape& s, const std::vector<float>& x) {
    std::vector<std::size_t> found;
    for (std::int64_t b = 0; b < s.B; ++b)
        for (std::int64_t i = 0; i < s.H / 2; ++i)
            for (std::int64_t j = 0; j < s.W / 2; ++j)
                for (std::int64_t c = 0; c < s.C; ++c) {
                    std::size_t best = element(s, b, 2 * i, 2 * j, c);
                    for (int k = 1; k < 4; ++k) {
                        const std::size_t other = element(s, b, 2 * i + k / 2, 2 * j + k % 2, c);
                        if (x[other] > x[best]) best = other;
                    }
                    found.push_back(best);
                }
    return found;
}

// Few different values: most cells hold equals.
std::vector<float> coarse(const MaxPoolShape& s) {
    std::vector<float> x = uniform(s.B * s.H * s.W * s.C, 1, -2, 2);
    for (float& value : x) value = std::round(value);
    return x;
}

std::vector<float> gradient_of(const MaxPoolShape& s) {
    return uniform(s.B * s.out_height() * s.out_width() * s.C, 2);
}

}  // namespace

DEVICE_TEST("max pooling takes the largest of 2 x 2, its gradient goes to the first of equals") {
    for (const MaxPoolShape& shape : shapes) {
        const std::vector<float> x = coarse(shape), dy = gradient_of(shape);
        std::vector<float> y(dy.size(), NAN), dx(x.size(), NAN), expected_y(dy.size()), expected_dx(x.size());
        const std::vector<std::size_t> from_where = winners(shape, x);
        for (std::size_t i = 0; i < y.size(); ++i) {
            expected_y[i] = x[from_where[i]];
            expected_dx[from_where[i]] = dy[i];
        }
        CAPTURE(shape.H);
        CAPTURE(shape.C);
        RUN(device, max_pool_forward, y, x, shape);
        CHECK(relative_error(y, {expected_y.begin(), expected_y.end()}) == 0);
        RUN(device, max_pool_backward, dx, dy, x, shape);
        CHECK(same_bits(dx, expected_dx));
    }
}

DEVICE_TEST("max pooling does not depend on the number of threads") {
    const MaxPoolShape shape{3, 31, 29, 24};
    const std::vector<float> x = coarse(shape), dy = gradient_of(shape);
    CHECK(same_for_any_threads([&] {
        std::vector<float> dx(x.size(), NAN);
        RUN(device, max_pool_backward, dx, dy, x, shape);
        return dx;
    }));
}

CUDA_TEST("max pooling in bf16 is that of the same numbers in float") {
    for (const MaxPoolShape& shape : shapes) {
        const std::vector<bf16> x = to_bf16(uniform(shape.B * shape.H * shape.W * shape.C, 3)),
                                dy = to_bf16(gradient_of(shape));
        std::vector<bf16> y(dy.size()), dx(x.size());
        std::vector<float> float_y(dy.size()), float_dx(x.size());
        RUN_CUDA(max_pool_forward, y, x, shape);
        RUN(Device::cuda, max_pool_forward, float_y, to_floats(x), shape);
        RUN_CUDA(max_pool_backward, dx, dy, x, shape);
        RUN(Device::cuda, max_pool_backward, float_dx, to_floats(dy), to_floats(x), shape);
        CAPTURE(shape.C);
        CHECK(same_bits(to_floats(y), float_y));
        CHECK(same_bits(to_floats(dx), float_dx));
    }
}
