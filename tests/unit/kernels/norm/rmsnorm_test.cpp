#include "kernels/norm/rmsnorm.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

using Doubles = std::vector<double>;
constexpr double epsilon = 1e-5;

// Each way that the device has to share out a row, with whole chunks of 8 and without, at its borders.
const std::vector<std::int64_t> norm_widths = {1,   5,   16,  32,  33,  48,  64,  128,
                                               129, 256, 300, 512, 513, 768, 1536};

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
        for (const std::int64_t width : norm_widths) {
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
        for (const std::int64_t width : norm_widths) {
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
            if (width ==
                1)  // dy weight rstd is cancelled but for eps / (x^2 + eps): its rounding errors remain
                for (std::size_t i = 0; i < dx.size(); ++i)
                    CHECK(std::abs(c.dx[i] - dx[i]) <= 2e-6 * std::abs(c.dy[i] * c.weight[0] * c.rstd[i]));
            else
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

DEVICE_TEST("residual rmsnorm is the sum, then the norm") {
    for (const std::int64_t rows : {1, 17, 67})
        for (const std::int64_t width : norm_widths) {
            Case c(device, rows, width);
            const std::vector<float> branch = uniform(rows * width, 5), x = c.x;
            RUN(device, residual_rmsnorm_forward, c.dx, c.y, c.rstd, x, branch, c.weight, rows, width,
                static_cast<float>(epsilon));
            const Case fused = c;
            for (std::size_t i = 0; i < x.size(); ++i) c.x[i] = x[i] + branch[i];
            c.forward();
            CAPTURE(rows);
            CAPTURE(width);
            CHECK(same_bits(fused.dx, c.x));
            CHECK(same_bits(fused.y, c.y));
            CHECK(same_bits(fused.rstd, c.rstd));
            std::vector<float> out = x, y = branch;
            RUN(device, residual_rmsnorm_forward, out, y, c.rstd, out, y, c.weight, rows, width,
                static_cast<float>(epsilon));
            CHECK(same_bits(out, c.x));
            CHECK(same_bits(y, c.y));
        }
}

DEVICE_TEST("rmsnorm of more rows than a device holds at once") {
    for (const auto& [rows, width] : {std::pair{34001, 5}, std::pair{2501, 264}, std::pair{1503, 520}}) {
        Case many(device, rows, width);
        many.forward();
        many.backward(many.dx);
        // The last 19 rows alone, and the sum over all rows in double.
        Case few(device, 19, width);
        const auto tail = [&](const std::vector<float>& all) {
            return std::vector<float>(all.end() - 19 * width, all.end());
        };
        few.x = tail(many.x), few.dy = tail(many.dy), few.weight = many.weight;
        few.forward();
        few.backward(few.dx);
        Doubles dweight(many.weight.size(), 2.0);
        for (std::size_t i = 0; i < many.x.size(); ++i)
            dweight[i % dweight.size()] +=
                static_cast<double>(many.dy[i]) * many.x[i] * many.rstd[i / dweight.size()];
        CAPTURE(width);
        CHECK(same_bits(tail(many.y), few.y));
        CHECK(same_bits(tail(many.dx), few.dx));
        CHECK(relative_error(many.dweight, dweight) < 1e-5);
    }
}

CUDA_TEST("rmsnorm in bf16 is rmsnorm in float, rounded once") {
    for (const std::int64_t width : norm_widths) {
        Case c(Device::cuda, 17, width);
        const std::vector<bf16> dy = to_bf16(c.dy), branch = to_bf16(uniform(17 * width, 5));
        const std::vector<float> x = c.x, branch_in_float = to_floats(branch);
        c.dy = to_floats(dy);
        std::vector<bf16> y(x.size());
        CAPTURE(width);

        c.forward();
        RUN_CUDA(rmsnorm_forward, y, c.rstd, x, c.weight, 17, width, static_cast<float>(epsilon));
        CHECK(rounds_to(y, c.y));

        std::vector<float> dx(x.size()), dweight(c.weight.size(), 2.0f), accumulated(x.size(), 0.25f);
        c.backward(c.dx);
        RUN_CUDA(rmsnorm_backward, dx, dweight, c.workspace, dy, x, c.weight, c.rstd, 17, width);
        if (width > 1) CHECK(relative_error(dx, widened(c.dx)) < 1e-6);
        CHECK(relative_error(dweight, widened(c.dweight)) < 1e-6);
        RUN_CUDA(rmsnorm_backward_accumulate, accumulated, dweight, c.workspace, dy, x, c.weight, c.rstd, 17,
                 width);
        for (float& value : dx) value += 0.25f;
        CHECK(relative_error(accumulated, widened(dx)) < 1e-6);

        std::vector<float> out(x.size()), out_in_float(x.size());
        RUN(Device::cuda, residual_rmsnorm_forward, out_in_float, c.y, c.rstd, x, branch_in_float, c.weight,
            17, width, static_cast<float>(epsilon));
        RUN_CUDA(residual_rmsnorm_forward, out, y, c.rstd, x, branch, c.weight, 17, width,
                 static_cast<float>(epsilon));
        CHECK(same_bits(out, out_in_float));
        CHECK(rounds_to(y, c.y));
    }
}
