#include "kernels/norm/layernorm.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

using Doubles = std::vector<double>;
constexpr double epsilon = 1e-6;

// Each way that the device has to share out a row, with whole chunks of 8 and without, at its borders.
const std::vector<std::int64_t> norm_widths = {1,   5,   16,  32,  33,  48,  64,  128,
                                               129, 256, 300, 512, 513, 768, 1536};

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
        for (const std::int64_t width : norm_widths) {
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
        for (const std::int64_t width : norm_widths) {
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
            if (width == 1)  // the gradient is 0; rounding errors remain, times rstd = 1 / sqrt(eps)
                CHECK(std::ranges::all_of(c.dx, [](float value) { return std::abs(value) < 1e-3f; }));
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

DEVICE_TEST("residual layernorm is the sum, then the norm") {
    for (const std::int64_t rows : {1, 17, 67})
        for (const std::int64_t width : norm_widths) {
            Case c(device, rows, width);
            const std::vector<float> branch = uniform(rows * width, 5), x = c.x;
            RUN(device, residual_layernorm_forward, c.dx, c.y, c.mean, c.rstd, x, branch, c.weight, c.bias,
                rows, width, static_cast<float>(epsilon));
            const Case fused = c;
            for (std::size_t i = 0; i < x.size(); ++i) c.x[i] = x[i] + branch[i];
            c.forward();
            CAPTURE(rows);
            CAPTURE(width);
            CHECK(same_bits(fused.dx, c.x));
            CHECK(same_bits(fused.y, c.y));
            CHECK(same_bits(fused.mean, c.mean));
            CHECK(same_bits(fused.rstd, c.rstd));
            std::vector<float> out = x, y = branch;
            RUN(device, residual_layernorm_forward, out, y, c.mean, c.rstd, out, y, c.weight, c.bias, rows,
                width, static_cast<float>(epsilon));
            CHECK(same_bits(out, c.x));
            CHECK(same_bits(y, c.y));
        }
}

DEVICE_TEST("layernorm of more rows than a device holds at once") {
    for (const auto& [rows, width] : {std::pair{34001, 5}, std::pair{2501, 264}, std::pair{1503, 520}}) {
        Case many(device, rows, width);
        many.forward();
        many.backward();
        // The last 19 rows alone, and the sums over all rows in double.
        Case few(device, 19, width);
        const auto tail = [&](const std::vector<float>& all) {
            return std::vector<float>(all.end() - 19 * width, all.end());
        };
        few.x = tail(many.x), few.dy = tail(many.dy), few.weight = many.weight;
        few.forward();
        few.backward();
        Doubles dweight(many.weight.size(), 2.0), dbias(many.weight.size(), -3.0);
        for (std::size_t i = 0; i < many.x.size(); ++i) {
            const std::size_t row = i / dweight.size(), column = i % dweight.size();
            const double d = many.dy[i];
            dweight[column] += d * (static_cast<double>(many.x[i]) - many.mean[row]) * many.rstd[row];
            dbias[column] += d;
        }
        CAPTURE(width);
        CHECK(same_bits(tail(many.y), few.y));
        CHECK(same_bits(tail(many.dx), few.dx));
        CHECK(relative_error(many.dweight, dweight) < 1e-5);
        CHECK(relative_error(many.dbias, dbias) < 1e-5);
    }
}

DEVICE_TEST("layernorm of no rows adds nothing") {
    Case c(device, 1, 64);
    c.rows = 0;
    c.forward();
    c.backward();
    CHECK(c.dweight == std::vector<float>(64, 2.0f));
    CHECK(c.dbias == std::vector<float>(64, -3.0f));
}

DEVICE_TEST("layernorm from addresses that are not aligned") {
    Case c(device, 17, 64);
    c.forward();
    c.backward();
    const auto shifted = [](const std::vector<float>& values) {
        std::vector<float> result = {NAN};
        result.insert(result.end(), values.begin(), values.end());
        return result;
    };
    std::vector<float> y(c.y.size() + 1, 7.0f), dx = y, dweight(64, 2.0f), dbias(64, -3.0f);
    const std::vector<float> x = shifted(c.x), dy = shifted(c.dy), weight = shifted(c.weight);
    RUN(device, layernorm_forward, from(y, 1), c.mean, c.rstd, from(x, 1), from(weight, 1), c.bias, 17, 64,
        static_cast<float>(epsilon));
    RUN(device, layernorm_backward, from(dx, 1), dweight, dbias, c.workspace, from(dy, 1), from(x, 1),
        from(weight, 1), c.mean, c.rstd, 17, 64);
    const auto unshifted = [](const std::vector<float>& values) {
        return widened(std::vector<float>(values.begin() + 1, values.end()));
    };
    CHECK(y[0] == 7.0f);
    CHECK(dx[0] == 7.0f);
    CHECK(relative_error(c.y, unshifted(y)) < 1e-6);
    CHECK(relative_error(c.dx, unshifted(dx)) < 1e-6);
    CHECK(relative_error(dweight, widened(c.dweight)) < 1e-6);
    CHECK(relative_error(dbias, widened(c.dbias)) < 1e-6);
}

CUDA_TEST("layernorm in bf16 is layernorm in float, rounded once") {
    for (const std::int64_t width : norm_widths) {
        Case c(Device::cuda, 17, width);
        const std::vector<bf16> dy = to_bf16(c.dy), branch = to_bf16(uniform(17 * width, 5));
        const std::vector<float> x = c.x, branch_in_float = to_floats(branch);
        c.dy = to_floats(dy);
        std::vector<bf16> y(x.size());
        CAPTURE(width);

        c.forward();
        RUN_CUDA(layernorm_forward, y, c.mean, c.rstd, x, c.weight, c.bias, 17, width,
                 static_cast<float>(epsilon));
        CHECK(rounds_to(y, c.y));

        const auto backward = [&](bool accumulate) {
            std::vector<float> dx(x.size(), 0.25f), dweight(c.weight.size(), 2.0f),
                dbias(c.weight.size(), -3.0f), expected = dx;
            c.dx = dx, c.dweight = dweight, c.dbias = dbias;
            if (accumulate) {
                c.backward_accumulate();
                RUN_CUDA(layernorm_backward_accumulate, dx, dweight, dbias, c.workspace, dy, x, c.weight,
                         c.mean, c.rstd, 17, width);
            } else {
                c.backward();
                RUN_CUDA(layernorm_backward, dx, dweight, dbias, c.workspace, dy, x, c.weight, c.mean, c.rstd,
                         17, width);
            }
            if (width > 1) CHECK(relative_error(dx, widened(c.dx)) < 1e-6);
            CHECK(relative_error(dweight, widened(c.dweight)) < 1e-6);
            CHECK(relative_error(dbias, widened(c.dbias)) < 1e-6);
        };
        backward(false);
        backward(true);

        std::vector<float> out(x.size()), out_in_float(x.size());
        RUN(Device::cuda, residual_layernorm_forward, out_in_float, c.y, c.mean, c.rstd, x, branch_in_float,
            c.weight, c.bias, 17, width, static_cast<float>(epsilon));
        RUN_CUDA(residual_layernorm_forward, out, y, c.mean, c.rstd, x, branch, c.weight, c.bias, 17, width,
                 static_cast<float>(epsilon));
        CHECK(same_bits(out, out_in_float));
        CHECK(rounds_to(y, c.y));
    }
}

CUDA_TEST("layernorm refuses rows wider than a block holds") {
    std::vector<float> y(3073), mean(1), rstd(1);
    CHECK_THROWS_WITH_AS(RUN_CUDA(layernorm_forward, y, mean, rstd, y, y, y, 1, 3073, 1e-6f),
                         "CUDA: normalisation of rows of 3073 elements; at most 3072", std::runtime_error);
    Case widest(Device::cuda, 2, 3072);
    widest.forward();
    CHECK(relative_error(widest.y, reference_forward(widened(widest.x), widened(widest.weight),
                                                     widened(widest.bias))) < 2e-6);
}
