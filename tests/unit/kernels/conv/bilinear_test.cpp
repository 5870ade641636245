#include "kernels/conv/bilinear.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

// Larger, smaller, both, of one pixel, of its own size.
const std::vector<BilinearShape> shapes = {
    {2, 3, 4, 5, 9, 7, PixelCentres::half_pixel, 2.0f / 255, -1},
    {1, 3, 9, 11, 4, 5, PixelCentres::half_pixel, 1, 0},
    {2, 3, 4, 5, 9, 7, PixelCentres::corner, 1.0f / 128, -1},
    {1, 1, 9, 4, 4, 9, PixelCentres::corner, 1, 0},
    {1, 3, 1, 1, 3, 2, PixelCentres::half_pixel, 1, 0},
    {1, 2, 6, 6, 6, 6, PixelCentres::corner, 1, 0},
};

struct Neighbours {
    std::int64_t low, high;
    double weight;
};

Neighbours neighbours_of(std::int64_t i, std::int64_t n, std::int64_t m, PixelCentres centres) {
    const double ratio = static_cast<double>(n) / static_cast<double>(m), at = static_cast<double>(i);
    const double u = centres == PixelCentres::corner ? at * ratio : std::max((at + 0.5) * ratio - 0.5, 0.0);
    const auto low = static_cast<std::int64_t>(u);
    return {low, std::min(low + 1, n - 1), u - std::floor(u)};
}

std::vector<double> resized(const std::vector<float>& x, const BilinearShape& s) {
    std::vector<double> y;
    for (std::int64_t b = 0; b < s.B; ++b)
        for (std::int64_t i = 0; i < s.out_height; ++i)
            for (std::int64_t j = 0; j < s.out_width; ++j)
                for (std::int64_t c = 0; c < s.C; ++c) {
                    const Neighbours u = neighbours_of(i, s.H, s.out_height, s.centres),
                                     v = neighbours_of(j, s.W, s.out_width, s.centres);
                    const auto at = [&](std::int64_t row, std::int64_t column) {
                        return static_cast<double>(
                            x[static_cast<std::size_t>(((b * s.C + c) * s.H + row) * s.W + column)]);
                    };
                    const double above = at(u.low, v.low) * (1 - v.weight) + at(u.low, v.high) * v.weight,
                                 below = at(u.high, v.low) * (1 - v.weight) + at(u.high, v.high) * v.weight;
                    y.push_back((above * (1 - u.weight) + below * u.weight) * s.factor + s.offset);
                }
    return y;
}

std::vector<std::uint8_t> bytes_of(const BilinearShape& s) {
    std::vector<std::uint8_t> bytes;
    for (const float value : uniform(s.B * s.C * s.H * s.W, 1, 0, 255.9f))
        bytes.push_back(static_cast<std::uint8_t>(value));
    return bytes;
}

}  // namespace

DEVICE_TEST("bilinear resizing agrees with the formula in double") {
    for (const BilinearShape& shape : shapes) {
        const std::vector<std::uint8_t> bytes = bytes_of(shape);
        const std::vector<float> values(bytes.begin(), bytes.end());
        const std::vector<double> expected = resized(values, shape);
        std::vector<float> y(expected.size(), NAN);
        CAPTURE(shape.H);
        CAPTURE(shape.out_height);
        RUN(device, bilinear_resize, y, bytes, shape);
        CHECK(relative_error(y, expected) < 1e-6);
        const std::vector<float> of_bytes = y;
        RUN(device, bilinear_resize, y, values, shape);
        CHECK(same_bits(y, of_bytes));
    }
}

CUDA_TEST("bilinear resizing to bf16 differs from float by its rounding") {
    for (const BilinearShape& shape : shapes) {
        const std::vector<std::uint8_t> bytes = bytes_of(shape);
        const std::vector<double> expected = resized({bytes.begin(), bytes.end()}, shape);
        std::vector<bf16> y(expected.size());
        RUN_CUDA(bilinear_resize, y, bytes, shape);
        CHECK(excess_error(to_floats(y), expected, bf16_rounding) < 1e-6);
    }
}
