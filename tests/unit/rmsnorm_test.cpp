#include "kernels/rmsnorm.h"

#include <doctest/doctest.h>

#include "tests/unit/kernel_check.h"

using namespace kernel_check;

namespace {

using Doubles = std::vector<double>;
constexpr double epsilon = 1e-5;

Doubles reference_forward(const Doubles& x, const Doubles& weight) {
    const std::size_t width = weight.size();
    Doubles y(x.size());
    for (std::size_t row = 0; row < x.size() / width; ++row) {
        double squares = 0;
        for (std::size_t i = 0; i < width; ++i) squares += x[row * width + i] * x[row * width + i];
        const double rstd = 1 / std::sqrt(squares / static_cast<double>(width) + epsilon);
        for (std::size_t i = 0; i < width; ++i) y[row * width + i] = x[row * width + i] * rstd * weight[i];
    }
    return y;
}

struct Case {
    Device device;
    std::int64_t rows, width;
    std::vector<float> x, weight, dy, y, rstd, dx, dweight, workspace;

    Case(Device device_, std::int64_t rows_, std::int64_t width_)
        : device(device_),
          rows(rows_),
          width(width_),
          x(uniform(rows * width, 1, -2, 3)),
          weight(uniform(width, 2, 0.5f, 1.5f)),
          dy(uniform(rows * width, 4)),
          y(x.size()),
          rstd(static_cast<std::size_t>(rows)),
          dx(x.size(), 0.25f),
          dweight(weight.size(), 2.0f),
          workspace(static_cast<std::size_t>(SIZE_ON(device, rmsnorm_backward_workspace, width)), NAN) {}

    void forward() {
        RUN(device, rmsnorm_forward, y, rstd, x, weight, rows, width, static_cast<float>(epsilon));
    }
    void backward(std::vector<float>& out) {
        RUN(device, rmsnorm_backward, out, dweight, workspace, dy, x, weight, rstd, rows, width);
    }
};

}  // namespace

DEVICE_TEST("rmsnorm forward agrees with the formula in double") {
    for (const std::int64_t rows : row_counts)
        for (const std::int64_t width : widths) {
            Case c(device, rows, width);
            c.forward();
            CAPTURE(rows);
            CAPTURE(width);
            CHECK(relative_error(c.y, reference_forward(widened(c.x), widened(c.weight))) < 2e-6);
        }
}

DEVICE_TEST("rmsnorm backward agrees with central differences") {
    for (const std::int64_t width : {1, 5, 48}) {
        Case c(device, 3, width);
        c.forward();
        c.backward(c.dx);
        const Doubles x = widened(c.x), weight = widened(c.weight);
        const auto loss = [&](const Doubles& y) {
            double sum = 0;
            for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * static_cast<double>(c.dy[i]);
            return sum;
        };
        if (width > 1)
            CHECK(relative_error(c.dx, central_differences(x, [&](const Doubles& v) {
                                     return loss(reference_forward(v, weight));
                                 })) < 1e-5);
        Doubles dweight =
            central_differences(weight, [&](const Doubles& v) { return loss(reference_forward(x, v)); });
        for (double& value : dweight) value += 2.0;
        CHECK(relative_error(c.dweight, dweight) < 1e-5);
    }
}

DEVICE_TEST("rmsnorm backward agrees with the formula in double") {
    for (const std::int64_t rows : row_counts)
        for (const std::int64_t width : widths) {
            if (width == 1) continue;  // the gradient all but vanishes and only rounding is left
            Case c(device, rows, width);
            c.forward();
            c.backward(c.dx);
            Doubles dx(c.x.size()), dweight(c.weight.size(), 2.0);
            for (std::int64_t row = 0; row < rows; ++row) {
                const double r = c.rstd[row];
                double projection = 0;
                for (std::int64_t i = 0; i < width; ++i) {
                    const double d = c.dy[row * width + i], x = c.x[row * width + i];
                    projection += d * c.weight[i] * x / static_cast<double>(width);
                    dweight[i] += d * x * r;
                }
                for (std::int64_t i = 0; i < width; ++i)
                    dx[row * width + i] = r * (static_cast<double>(c.dy[row * width + i]) * c.weight[i] -
                                               c.x[row * width + i] * r * r * projection);
            }
            CAPTURE(rows);
            CAPTURE(width);
            CHECK(relative_error(c.dx, dx) < 1e-5);
            CHECK(relative_error(c.dweight, dweight) < 1e-5);
        }
}

DEVICE_TEST("rmsnorm backward in place and accumulating give the same gradient") {
    Case plain(device, 17, 129), in_place(device, 17, 129), accumulating(device, 17, 129);
    for (Case* c : {&plain, &in_place, &accumulating}) c->forward();
    plain.backward(plain.dx);
    in_place.backward(in_place.dy);
    CHECK(same_bits(in_place.dy, plain.dx));
    RUN(device, rmsnorm_backward_accumulate, accumulating.dx, accumulating.dweight, accumulating.workspace,
        accumulating.dy, accumulating.x, accumulating.weight, accumulating.rstd, 17, 129);
    Doubles expected = widened(plain.dx);
    for (double& value : expected) value += 0.25;
    CHECK(relative_error(accumulating.dx, expected) < 1e-6);
    CHECK(same_bits(accumulating.dweight, plain.dweight));
}

DEVICE_TEST("rmsnorm does not depend on the number of threads") {
    CHECK(same_for_any_threads([&] {
        Case c(device, 1003, 129);
        c.forward();
        c.backward(c.dx);
        std::vector<float> all = c.y;
        for (const auto* part : {&c.dx, &c.dweight}) all.insert(all.end(), part->begin(), part->end());
        return all;
    }));
}
