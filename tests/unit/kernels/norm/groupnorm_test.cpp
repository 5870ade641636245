#include "kernels/norm/groupnorm.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

using Doubles = std::vector<double>;
constexpr double epsilon = 1e-6;
const std::vector<Activation> activations = {Activation::none, Activation::swish, Activation::leaky_relu};

// One position, an odd number of channels, a group that ends within 8 channels, several slices, more channels
// than a block of threads takes at once.
const std::vector<GroupNormShape> shapes = {{1, 1, 8, 2},   {3, 7, 5, 1},     {2, 9, 12, 4},  {2, 16, 32, 32},
                                            {1, 25, 96, 8}, {2, 300, 64, 32}, {1, 3, 2064, 8}};

double activated(double u, Activation activation) {
    if (activation == Activation::swish) return u / (1 + std::exp(-u));
    if (activation == Activation::leaky_relu) return u < 0 ? 0.2 * u : u;
    return u;
}

std::size_t element(const GroupNormShape& s, std::int64_t image, std::int64_t position, std::int64_t c) {
    return static_cast<std::size_t>((image * s.positions + position) * s.channels + c);
}

Doubles reference(const GroupNormShape& s, const Doubles& x, const Doubles& weight, const Doubles& bias,
                  Activation activation) {
    Doubles y(x.size());
    const std::int64_t width = s.group_channels();
    for (std::int64_t image = 0; image < s.images; ++image)
        for (std::int64_t group = 0; group < s.groups; ++group) {
            double mean = 0, variance = 0;
            const auto each = [&](auto body) {
                for (std::int64_t p = 0; p < s.positions; ++p)
                    for (std::int64_t c = group * width; c < (group + 1) * width; ++c)
                        body(element(s, image, p, c), static_cast<std::size_t>(c));
            };
            const auto count = static_cast<double>(s.positions * width);
            each([&](std::size_t i, std::size_t) { mean += x[i] / count; });
            each([&](std::size_t i, std::size_t) { variance += (x[i] - mean) * (x[i] - mean) / count; });
            const double rstd = 1 / std::sqrt(variance + epsilon);
            each([&](std::size_t i, std::size_t c) {
                y[i] = activated((x[i] - mean) * rstd * weight[c] + bias[c], activation);
            });
        }
    return y;
}

struct Case {
    Device device;
    GroupNormShape shape;
    Activation activation;
    std::vector<float> x, weight, bias, dy, y, mean, rstd, dx, dweight, dbias, workspace;

    Case(Device device_, const GroupNormShape& shape_, Activation activation_, float low = -2, float high = 3)
        : device(device_),
          shape(shape_),
          activation(activation_),
          x(uniform(shape.elements(), 1, low, high)),
          weight(uniform(shape.channels, 2, 0.5f, 1.5f)),
          bias(uniform(shape.channels, 3)),
          dy(uniform(shape.elements(), 4)),
          y(x.size(), NAN),
          mean(static_cast<std::size_t>(shape.images * shape.groups), NAN),
          rstd(mean),
          dx(x.size(), NAN),
          dweight(weight.size(), 2.0f),
          dbias(weight.size(), -3.0f) {}

    void forward(std::vector<float>& out) {
        workspace.assign(static_cast<std::size_t>(SIZE_ON(device, groupnorm_forward_workspace, shape)), NAN);
        RUN(device, groupnorm_forward, out, mean, rstd, workspace, x, weight, bias, shape,
            static_cast<float>(epsilon), activation);
    }
    void backward(std::vector<float>& out) {
        workspace.assign(static_cast<std::size_t>(SIZE_ON(device, groupnorm_backward_workspace, shape)), NAN);
        RUN(device, groupnorm_backward, out, dweight, dbias, workspace, dy, x, weight, bias, mean, rstd,
            shape, activation);
    }
    Doubles expected() const {
        return reference(shape, widened(x), widened(weight), widened(bias), activation);
    }
};

// dx, dweight and dbias by the formulas of the header, in double.
struct Gradients {
    Doubles dx, dweight, dbias;

    explicit Gradients(const Case& c)
        : dx(c.x.size()), dweight(c.weight.size(), 2.0), dbias(c.weight.size(), -3.0) {
        const GroupNormShape& s = c.shape;
        const std::int64_t width = s.group_channels();
        for (std::int64_t image = 0; image < s.images; ++image)
            for (std::int64_t group = 0; group < s.groups; ++group) add(c, s, width, image, group);
    }
    void add(const Case& c, const GroupNormShape& s, std::int64_t width, std::int64_t image,
             std::int64_t group) {
        const auto at = static_cast<std::size_t>(image * s.groups + group);
        const double mean = c.mean[at], rstd = c.rstd[at];
        double mean_g = 0, mean_gn = 0;
        const auto each = [&](auto body) {
            for (std::int64_t p = 0; p < s.positions; ++p)
                for (std::int64_t channel = group * width; channel < (group + 1) * width; ++channel) {
                    const std::size_t i = element(s, image, p, channel);
                    const auto k = static_cast<std::size_t>(channel);
                    const double n = (c.x[i] - mean) * rstd, u = n * c.weight[k] + c.bias[k], step = 1e-5;
                    const double slope =
                        (activated(u + step, c.activation) - activated(u - step, c.activation)) / (2 * step);
                    body(i, k, n, c.dy[i] * slope);
                }
        };
        const auto count = static_cast<double>(s.positions * width);
        each([&](std::size_t, std::size_t k, double n, double h) {
            mean_g += h * c.weight[k] / count;
            mean_gn += h * c.weight[k] * n / count;
            dweight[k] += h * n;
            dbias[k] += h;
        });
        each([&](std::size_t i, std::size_t k, double n, double h) {
            dx[i] = rstd * (h * c.weight[k] - mean_g - n * mean_gn);
        });
    }
};

}  // namespace

DEVICE_TEST("groupnorm forward agrees with the formula in double") {
    for (const GroupNormShape& shape : shapes)
        for (const Activation activation : activations) {
            Case c(device, shape, activation);
            c.forward(c.y);
            CAPTURE(shape.channels);
            CAPTURE(static_cast<int>(activation));
            CHECK(relative_error(c.y, c.expected()) < 3e-6);
            c.forward(c.x);
            CHECK(same_bits(c.x, c.y));
        }
}

DEVICE_TEST("groupnorm where the mean is far from zero") {
    Case c(device, {2, 300, 64, 32}, Activation::none, 1000, 1001);
    c.forward(c.y);
    CHECK(relative_error(c.y, c.expected()) < 2e-4);  // x itself has a resolution of 2^-14 of its range
}

DEVICE_TEST("groupnorm backward agrees with central differences") {
    for (const Activation activation : activations) {
        Case c(device, {2, 6, 6, 3}, activation);
        c.forward(c.y);
        c.backward(c.dx);
        const Doubles x = widened(c.x), weight = widened(c.weight), bias = widened(c.bias);
        const auto loss = [&](const Doubles& y) {
            double sum = 0;
            for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * static_cast<double>(c.dy[i]);
            return sum;
        };
        Doubles dx = central_differences(
                    x,
                    [&](const Doubles&v) { return loss(reference(c.shape, v, weight, bias, activation)); }),
                dweight = central_differences(
                    weight,
                    [&](const Doubles&v) { return loss(reference(c.shape, x, v, bias, activation)); }),
                dbias = central_differences(bias, [&](const Doubles&v) {
                    return loss(reference(c.shape, x, weight, v, activation));
                });
        for (double& value : dweight) value += 2.0;
        for (double& value : dbias) value -= 3.0;
        CAPTURE(static_cast<int>(activation));
        CHECK(relative_error(c.dx, dx) < 1e-5);
        CHECK(relative_error(c.dweight, dweight) < 1e-5);
        CHECK(relative_error(c.dbias, dbias) < 1e-5);
    }
}

DEVICE_TEST("groupnorm backward agrees with the formula in double") {
    for (const GroupNormShape& shape : shapes)
        for (const Activation activation : activations) {
            Case c(device, shape, activation);
            c.forward(c.y);
            c.backward(c.dx);
            const Gradients expected(c);
            CAPTURE(shape.channels);
            CAPTURE(static_cast<int>(activation));
            CHECK(relative_error(c.dx, expected.dx) < 1e-5);
            CHECK(relative_error(c.dweight, expected.dweight) < 1e-5);
            CHECK(relative_error(c.dbias, expected.dbias) < 1e-5);
            std::vector<float> out_of_place = c.dx;
            c.backward(c.dy);
            CHECK(same_bits(c.dy, out_of_place));
        }
}

DEVICE_TEST("groupnorm does not depend on the number of threads") {
    for (const GroupNormShape& shape : {GroupNormShape{1, 1031, 48, 3}, GroupNormShape{9, 65, 40, 8}})
        CHECK(same_for_any_threads([&] {
            Case c(device, shape, Activation::swish);
            c.forward(c.y);
            c.backward(c.dx);
            std::vector<float> all = c.y;
            for (const auto& more : {c.dx, c.dweight, c.dbias})
                all.insert(all.end(), more.begin(), more.end());
            return all;
        }));
}

CUDA_TEST("groupnorm in bf16 is groupnorm in float, rounded once") {
    for (const GroupNormShape& shape : shapes) {
        Case c(Device::cuda, shape, Activation::swish);
        c.x = rounded_to_bf16(c.x);
        c.dy = rounded_to_bf16(c.dy);
        c.forward(c.y);
        c.backward(c.dx);
        const std::vector<bf16> x = to_bf16(c.x), dy = to_bf16(c.dy);
        std::vector<bf16> y(x.size()), dx(x.size());
        std::vector<float> mean(c.mean.size()), rstd(mean), dweight(c.weight.size(), 2.0f),
            dbias(c.weight.size(), -3.0f);
        std::vector<float> forward_workspace(
            static_cast<std::size_t>(SIZE_ON(Device::cuda, groupnorm_forward_workspace, shape)));
        RUN_CUDA(groupnorm_forward, y, mean, rstd, forward_workspace, x, c.weight, c.bias, shape,
                 static_cast<float>(epsilon), Activation::swish);
        RUN_CUDA(groupnorm_backward, dx, dweight, dbias, c.workspace, dy, x, c.weight, c.bias, mean, rstd,
                 shape, Activation::swish);
        CAPTURE(shape.channels);
        CHECK(rounds_to(y, c.y));
        CHECK(rounds_to(dx, c.dx));
        CHECK(relative_error(mean, widened(c.mean)) < 1e-6);
        CHECK(relative_error(dweight, widened(c.dweight)) < 1e-6);
        CHECK(relative_error(dbias, widened(c.dbias)) < 1e-6);
    }
}
