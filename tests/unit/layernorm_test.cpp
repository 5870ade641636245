#include "kernels/layernorm.h"

#include <doctest/doctest.h>

#include "tests/unit/kernel_check.h"

using namespace kernel_check;

namespace {

using Doubles = std::vector<double>;
constexpr double epsilon = 1e-6;

Doubles reference_forward(const Doubles& x, const Doubles& weight, const Doubles& bias) {
    const std::size_t width = weight.size();
    Doubles y(x.size());
    for (std::size_t row = 0; row < x.size() / width; ++row) {
        const double* in = &x[row * width];
        double mean = 0, variance = 0;
        for (std::size_t i = 0; i < width; ++i) mean += in[i] / static_cast<double>(width);
        for (std::size_t i = 0; i < width; ++i)
            variance += (in[i] - mean) * (in[i] - mean) / static_cast<double>(width);
        for (std::size_t i = 0; i < width; ++i)
            y[row * width + i] = (in[i] - mean) / std::sqrt(variance + epsilon) * weight[i] + bias[i];
    }
    return y;
}

double weighted_sum(const Doubles& y, const Doubles& dy) {
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
}

struct Case {
    Device device;
    std::int64_t rows, width;
    std::vector<float> x, weight, bias, dy, y, mean, rstd, dx, dweight, dbias, workspace;

    Case(Device device_, std::int64_t rows_, std::int64_t width_)
        : device(device_),
          rows(rows_),
          width(width_),
          x(uniform(rows * width, 1, -2, 3)),
          weight(uniform(width, 2, 0.5f, 1.5f)),
          bias(uniform(width, 3)),
          dy(uniform(rows * width, 4)),
          y(x.size()),
          mean(static_cast<std::size_t>(rows)),
          rstd(mean.size()),
          dx(x.size(), 0.25f),
          dweight(weight.size(), 2.0f),
          dbias(weight.size(), -3.0f),
          workspace(static_cast<std::size_t>(SIZE_ON(device, layernorm_backward_workspace, width)), NAN) {}

    void forward() {
        RUN(device, layernorm_forward, y, mean, rstd, x, weight, bias, rows, width,
            static_cast<float>(epsilon));
    }
    void backward() {
        RUN(device, layernorm_backward, dx, dweight, dbias, workspace, dy, x, weight, mean, rstd, rows,
            width);
    }
    void backward_accumulate() {
        RUN(device, layernorm_backward_accumulate, dx, dweight, dbias, workspace, dy, x, weight, mean, rstd,
            rows, width);
    }
};

}  // namespace

DEVICE_TEST("layernorm forward agrees with the formula in double") {
    for (const std::int64_t rows : row_counts)
        for (const std::int64_t width : widths) {
            Case c(device, rows, width);
            c.forward();
            CAPTURE(rows);
            CAPTURE(width);
            CHECK(relative_error(c.y, reference_forward(widened(c.x), widened(c.weight), widened(c.bias))) <
                  2e-6);
        }
}

DEVICE_TEST("layernorm keeps its precision where the mean is large") {
    Case c(device, 3, 129);
    for (float& value : c.x) value += 1000;
    c.forward();
    CHECK(relative_error(c.y, reference_forward(widened(c.x), widened(c.weight), widened(c.bias))) < 1e-3);
}

DEVICE_TEST("layernorm backward agrees with central differences") {
    for (const std::int64_t width : {5, 48}) {
        Case c(device, 3, width);
        c.forward();
        c.backward();
        const Doubles x = widened(c.x), weight = widened(c.weight), bias = widened(c.bias),
                      dy = widened(c.dy);
        CHECK(relative_error(c.dx, central_differences(x, [&](const Doubles& v) {
                                 return weighted_sum(reference_forward(v, weight, bias), dy);
                             })) < 1e-5);
        Doubles dweight = central_differences(
            weight, [&](const Doubles& v) { return weighted_sum(reference_forward(x, v, bias), dy); });
        Doubles dbias = central_differences(
            bias, [&](const Doubles& v) { return weighted_sum(reference_forward(x, weight, v), dy); });
        for (double& value : dweight) value += 2.0;
        for (double& value : dbias) value -= 3.0;
        CHECK(relative_error(c.dweight, dweight) < 1e-5);
        CHECK(relative_error(c.dbias, dbias) < 1e-5);
    }
}

DEVICE_TEST("layernorm backward agrees with the formula in double") {
    for (const std::int64_t rows : row_counts)
        for (const std::int64_t width : widths) {
            Case c(device, rows, width);
            c.forward();
            c.backward();
            Doubles dx(c.x.size()), dweight(c.weight.size(), 2.0), dbias(c.weight.size(), -3.0);
            for (std::int64_t row = 0; row < rows; ++row) {
                double sum_g = 0, sum_gn = 0;
                const auto normalized = [&](std::int64_t i) {
                    return (static_cast<double>(c.x[row * width + i]) - c.mean[row]) * c.rstd[row];
                };
                for (std::int64_t i = 0; i < width; ++i) {
                    const double d = c.dy[row * width + i], g = d * c.weight[i];
                    sum_g += g;
                    sum_gn += g * normalized(i);
                    dweight[i] += d * normalized(i);
                    dbias[i] += d;
                }
                for (std::int64_t i = 0; i < width; ++i)
                    dx[row * width + i] =
                        c.rstd[row] * (static_cast<double>(c.dy[row * width + i]) * c.weight[i] -
                                       (sum_g + normalized(i) * sum_gn) / static_cast<double>(width));
            }
            CAPTURE(rows);
            CAPTURE(width);
            if (width == 1)  // the gradient is 0; what remains is rounding, and rstd is 1 / sqrt(eps)
                CHECK(*std::max_element(c.dx.begin(), c.dx.end()) < 1e-3f);
            else
                CHECK(relative_error(c.dx, dx) < 1e-5);
            CHECK(relative_error(c.dweight, dweight) < 1e-5);
            CHECK(relative_error(c.dbias, dbias) < 1e-5);
        }
}

DEVICE_TEST("layernorm backward in place and accumulating give the same gradient") {
    Case plain(device, 17, 129), in_place(device, 17, 129), accumulating(device, 17, 129);
    for (Case* c : {&plain, &in_place, &accumulating}) c->forward();
    plain.backward();
    RUN(device, layernorm_backward, in_place.dy, in_place.dweight, in_place.dbias, in_place.workspace,
        in_place.dy, in_place.x, in_place.weight, in_place.mean, in_place.rstd, 17, 129);
    CHECK(same_bits(in_place.dy, plain.dx));
    accumulating.backward_accumulate();
    Doubles expected = widened(plain.dx);
    for (double& value : expected) value += 0.25;
    CHECK(relative_error(accumulating.dx, expected) < 1e-6);
    CHECK(same_bits(accumulating.dweight, plain.dweight));
    CHECK(same_bits(accumulating.dbias, plain.dbias));
}

DEVICE_TEST("layernorm does not depend on the number of threads") {
    CHECK(same_for_any_threads([&] {
        Case c(device, 1003, 129);
        c.forward();
        c.backward();
        std::vector<float> all = c.y;
        for (const auto* part : {&c.dx, &c.dweight, &c.dbias})
            all.insert(all.end(), part->begin(), part->end());
        return all;
    }));
}
