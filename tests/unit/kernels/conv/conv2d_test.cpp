#include "kernels/conv/conv2d.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "kernels/linear/matmul_bf16.h"
#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

using Doubles = std::vector<double>;

// Every product of a convolution: use(index of y, of x, of w).
template <class Use>
void for_each_product(const Conv2dShape& s, Use use) {
    const std::int64_t P = s.kernel_height, Q = s.kernel_width;
    std::int64_t y = 0;
    for (std::int64_t b = 0; b < s.batch; ++b)
        for (std::int64_t i = 0; i < s.out_height(); ++i)
            for (std::int64_t j = 0; j < s.out_width(); ++j, y += s.N)
                for (std::int64_t p = 0; p < P; ++p)
                    for (std::int64_t q = 0; q < Q; ++q) {
                        const std::int64_t u = i * s.stride + p - s.padding_height,
                                           v = j * s.stride + q - s.padding_width;
                        if (u < 0 || u >= s.height || v < 0 || v >= s.width) continue;
                        const std::int64_t x = ((b * s.height + u) * s.width + v) * s.C;
                        for (std::int64_t n = 0; n < s.N; ++n)
                            for (std::int64_t c = 0; c < s.C; ++c)
                                use(y + n, x + c, ((n * s.C + c) * P + p) * Q + q);
                    }
}

struct Case {
    Device device;
    Conv2dShape shape;
    std::vector<float> x, weight, bias, dy, y, dx, dweight, dbias, workspace;

    Case(Device device_, const Conv2dShape& s)
        : device(device_),
          shape(s),
          x(uniform(s.rows() * s.C, 1)),
          weight(uniform(s.weights(), 2)),
          bias(uniform(s.N, 3)),
          dy(uniform(s.out_rows() * s.N, 4)),
          y(dy.size(), NAN),
          dx(x.size(), NAN),
          dweight(weight.size(), 2.0f),
          dbias(bias.size(), -3.0f) {}

    void reserve(std::int64_t floats) { workspace.assign(static_cast<std::size_t>(floats), NAN); }
    void forward(bool biased = true, bool relu = false) {
        reserve(SIZE_ON(device, conv2d_forward_workspace, shape));
        RUN(device, conv2d_forward, y, workspace, x, weight, biased ? &bias : nullptr, relu, shape);
    }
    void backward(bool biased = true) {
        reserve(SIZE_ON(device, conv2d_backward_input_workspace, shape));
        RUN(device, conv2d_backward_input, dx, workspace, dy, weight, shape);
        reserve(SIZE_ON(device, conv2d_backward_weight_workspace, shape));
        RUN(device, conv2d_backward_weight, dweight, biased ? &dbias : nullptr, workspace, dy, x, shape);
    }

    Doubles expected_y(bool biased = true) const {
        Doubles sums(y.size());
        for (std::size_t i = 0; biased && i < sums.size(); ++i) sums[i] = bias[i % bias.size()];
        for_each_product(shape, [&](std::int64_t to, std::int64_t from, std::int64_t w) {
            sums[to] += static_cast<double>(x[from]) * weight[w];
        });
        return sums;
    }
    Doubles expected_dx() const {
        Doubles sums(x.size());
        for_each_product(shape, [&](std::int64_t from, std::int64_t to, std::int64_t w) {
            sums[to] += static_cast<double>(dy[from]) * weight[w];
        });
        return sums;
    }
    Doubles expected_dweight() const {
        Doubles sums(weight.size(), 2.0);
        for_each_product(shape, [&](std::int64_t from, std::int64_t other, std::int64_t w) {
            sums[w] += static_cast<double>(dy[from]) * x[other];
        });
        return sums;
    }
    Doubles expected_dbias() const {
        Doubles sums(bias.size(), -3.0);
        for (std::size_t i = 0; i < dy.size(); ++i) sums[i % sums.size()] += dy[i];
        return sums;
    }
};

// Odd sizes and channels, the ends of a network (3 channels in or out, 1 out), strides that leave rows over,
// no padding, few images of many rows (bands), many images (slices), kernels that are not square.
const std::vector<Conv2dShape> shapes = {
    {1, 1, 1, 1, 1, 3, 3, 1, 1, 1},   {2, 5, 7, 3, 5, 3, 3, 1, 1, 1},     {3, 8, 8, 16, 16, 3, 3, 1, 1, 1},
    {1, 33, 9, 3, 16, 3, 3, 1, 1, 1}, {2, 9, 4, 17, 3, 3, 3, 1, 1, 1},    {2, 8, 8, 3, 16, 4, 4, 2, 1, 1},
    {2, 9, 11, 5, 7, 4, 4, 2, 1, 1},  {2, 6, 5, 16, 1, 4, 4, 1, 1, 1},    {1, 40, 3, 8, 8, 4, 4, 2, 1, 1},
    {2, 7, 7, 4, 6, 2, 2, 3, 0, 0},   {40, 6, 6, 8, 24, 3, 3, 1, 1, 1},   {17, 8, 8, 3, 8, 3, 3, 1, 1, 1},
    {2, 5, 6, 9, 10, 5, 5, 1, 2, 2},  {2, 12, 12, 33, 40, 3, 3, 1, 1, 1}, {2, 5, 5, 72, 80, 3, 3, 1, 1, 1},
    {2, 9, 8, 16, 24, 1, 7, 1, 0, 3}, {2, 9, 8, 3, 5, 7, 1, 1, 3, 0},     {1, 8, 9, 8, 16, 3, 2, 2, 0, 1},
    {2, 6, 5, 16, 8, 1, 1, 1, 0, 0},
};

}  // namespace

DEVICE_TEST("conv2d forward agrees with the formula in double") {
    for (const Conv2dShape& shape : shapes)
        for (const bool biased : {true, false}) {
            Case c(device, shape);
            c.forward(biased);
            CAPTURE(shape.height);
            CAPTURE(shape.C);
            CAPTURE(shape.kernel_width);
            CHECK(relative_error(c.y, c.expected_y(biased)) < 2e-6);
        }
}

DEVICE_TEST("conv2d with ReLU cuts the same sums") {
    for (const Conv2dShape& shape : shapes) {
        Case c(device, shape);
        c.forward(true, true);
        Doubles expected = c.expected_y();
        for (double& value : expected) value = std::max(value, 0.0);
        CAPTURE(shape.height);
        CAPTURE(shape.C);
        CAPTURE(shape.kernel_width);
        CHECK(relative_error(c.y, expected) < 2e-6);
        CHECK(std::ranges::count(c.y, 0.0f) == std::ranges::count(expected, 0.0));
    }
}

DEVICE_TEST("conv2d backward agrees with the formula in double") {
    for (const Conv2dShape& shape : shapes)
        for (const bool biased : {true, false}) {
            Case c(device, shape);
            c.backward(biased);
            CAPTURE(shape.height);
            CAPTURE(shape.C);
            CAPTURE(shape.kernel_width);
            CHECK(relative_error(c.dx, c.expected_dx()) < 2e-6);
            CHECK(relative_error(c.dweight, c.expected_dweight()) < 5e-6);
            CHECK(relative_error(c.dbias, biased ? c.expected_dbias() : Doubles(c.dbias.size(), -3.0)) <
                  5e-6);
        }
}

// So many pixels that a device takes its largest blocks.
constexpr Conv2dShape large{1, 192, 184, 16, 20, 3, 3, 1, 1, 1};

DEVICE_TEST("conv2d of a large map agrees with the formula in double") {
    Case c(device, large);
    c.forward();
    CHECK(relative_error(c.y, c.expected_y()) < 2e-6);
}

DEVICE_TEST("conv2d does not depend on the number of threads") {
    for (const Conv2dShape& shape :
         {Conv2dShape{33, 8, 8, 16, 24, 3, 3, 1, 1, 1}, Conv2dShape{2, 32, 16, 16, 16, 3, 3, 1, 1, 1},
          Conv2dShape{19, 12, 12, 3, 16, 4, 4, 2, 1, 1}})
        CHECK(same_for_any_threads([&] {
            Case c(device, shape);
            c.forward();
            c.backward();
            std::vector<float> all = c.y;
            for (const auto* part : {&c.dx, &c.dweight, &c.dbias})
                all.insert(all.end(), part->begin(), part->end());
            return all;
        }));
}

CUDA_TEST("conv2d in bf16 differs from float by its rounding") {
    for (const Conv2dShape& shape : shapes) {
        Case c(Device::cuda, shape);
        for (std::vector<float>* values : {&c.x, &c.weight, &c.bias, &c.dy})
            *values = rounded_to_bf16(*values);
        const std::vector<bf16> x = to_bf16(c.x), weight = to_bf16(c.weight), bias = to_bf16(c.bias),
                                dy = to_bf16(c.dy);
        std::vector<bf16> y(dy.size()), dx(x.size());
        c.reserve(SIZE_ON(Device::cuda, conv2d_forward_workspace, shape));
        RUN_CUDA(conv2d_forward, y, c.workspace, x, weight, &bias, false, shape);
        c.reserve(SIZE_ON(Device::cuda, conv2d_backward_input_workspace, shape));
        RUN_CUDA(conv2d_backward_input, dx, c.workspace, dy, weight, shape);
        c.reserve(SIZE_ON(Device::cuda, conv2d_backward_weight_workspace, shape));
        RUN_CUDA(conv2d_backward_weight, c.dweight, &c.dbias, c.workspace, dy, x, shape);
        CAPTURE(shape.height);
        CAPTURE(shape.C);
        CAPTURE(shape.kernel_width);
        CHECK(excess_error(to_floats(y), c.expected_y(), bf16_rounding) < 1e-5);
        CHECK(excess_error(to_floats(dx), c.expected_dx(), bf16_rounding) < 1e-5);
        CHECK(relative_error(c.dweight, c.expected_dweight()) < 5e-6);
        CHECK(relative_error(c.dbias, c.expected_dbias()) < 5e-6);
    }
}

CUDA_TEST("conv2d of a large map in bf16 differs from float by its rounding") {
    Case c(Device::cuda, large);
    for (std::vector<float>* values : {&c.x, &c.weight, &c.bias}) *values = rounded_to_bf16(*values);
    const std::vector<bf16> x = to_bf16(c.x), weight = to_bf16(c.weight), bias = to_bf16(c.bias);
    std::vector<bf16> y(c.y.size());
    c.reserve(SIZE_ON(Device::cuda, conv2d_forward_workspace, large));
    RUN_CUDA(conv2d_forward, y, c.workspace, x, weight, &bias, false, large);
    CHECK(excess_error(to_floats(y), c.expected_y(), bf16_rounding) < 1e-5);
}

TEST_CASE(
    "conv2d on the CPU in bf16: products of rounded operands, sums in fp32, for any number of threads") {
    if (cpu::bf16_unit() == cpu::Bf16Unit::none) return skip_test("no products in bf16 on this CPU");
    for (const Conv2dShape& shape : shapes) {
        CAPTURE(shape.height);
        CAPTURE(shape.C);
        CAPTURE(shape.kernel_width);
        Case seen(Device::cpu, shape);
        const std::vector<bf16> weight = to_bf16(seen.weight);
        const auto compute = [&] {
            Case c(Device::cpu, shape);
            c.reserve(cpu::conv2d_forward_workspace(shape));
            cpu::conv2d_forward(c.y.data(), c.workspace.data(), c.x.data(), weight.data(), c.bias.data(),
                                false, shape);
            c.reserve(cpu::conv2d_backward_input_workspace(shape));
            cpu::conv2d_backward_input(c.dx.data(), c.workspace.data(), c.dy.data(), weight.data(), shape);
            c.reserve(cpu::conv2d_backward_weight_workspace(shape));
            cpu::conv2d_backward_weight(Bf16ProductSum{c.dweight.data()}, c.dbias.data(), c.workspace.data(),
                                        c.dy.data(), c.x.data(), shape);
            return c;
        };
        const Case c = compute();
        for (std::vector<float>* values : {&seen.x, &seen.weight, &seen.dy})
            *values = rounded_to_bf16(*values);
        CHECK(relative_error(c.y, seen.expected_y()) < 5e-6);
        CHECK(relative_error(c.dx, seen.expected_dx()) < 5e-6);
        CHECK(relative_error(c.dweight, seen.expected_dweight()) < 5e-6);
        CHECK(relative_error(c.dbias, seen.expected_dbias()) < 5e-6);
        CHECK(same_for_any_threads([&] {
            const Case again = compute();
            std::vector<float> all = again.y;
            for (const auto* part : {&again.dx, &again.dweight, &again.dbias})
                all.insert(all.end(), part->begin(), part->end());
            return all;
        }));
    }
}
