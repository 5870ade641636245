#include "kernels/linear/matmul.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/linear/linear_layer.h"

using namespace kernel_check;

namespace {

// From 1,024 rows on, the products are cut into tiles; from 128 on, weights of whole 16 x 16 blocks are
// turned.
const std::vector<Shape> shapes = {{1, 1, 1},      {3, 5, 7},      {2, 256, 64},    {17, 33, 20},
                                   {63, 130, 5},   {1023, 12, 17}, {1024, 9, 11},   {1100, 17, 13},
                                   {2051, 40, 24}, {128, 48, 32},  {128, 128, 512}, {1100, 64, 48}};

// Everything a layer computes on its operands, one result after the other; outputs start as NaN where they
// are overwritten.
std::vector<float> all_results(Device device, const Layer& layer) {
    const auto [rows, N, K] = layer.shape;
    std::vector<float> y(layer.dy.size(), not_a_number), dx(layer.x.size(), not_a_number);
    std::vector<float> d_weight(layer.weight.size(), 0.5f), d_bias(layer.bias.size(), 0.5f);
    std::vector<float> workspace(
        static_cast<std::size_t>(SIZE_ON(device, linear_backward_weight_workspace, N)), not_a_number);
    RUN(device, linear_forward, y, layer.y_stride, layer.x, layer.x_stride, layer.weight, layer.bias, rows, N,
        K);
    RUN(device, linear_backward_input, dx, layer.x_stride, layer.dy, layer.y_stride, layer.weight, rows, N,
        K);
    RUN(device, linear_backward_weight, d_weight, d_bias, workspace, layer.dy, layer.y_stride, layer.x,
        layer.x_stride, rows, N, K);
    std::vector<float> all = packed(y, rows, N, layer.y_stride);
    for (const std::vector<float>& part : {packed(dx, rows, K, layer.x_stride), d_weight, d_bias})
        all.insert(all.end(), part.begin(), part.end());
    return all;
}

}  // namespace

DEVICE_TEST("linear_forward overwrites strided rows, with and without bias") {
    for (const Shape& shape : shapes)
        for (const std::int64_t gap : {0, 3}) {
            const auto [rows, N, K] = shape;
            CAPTURE(rows);
            CAPTURE(N);
            CAPTURE(K);
            const Layer layer(shape, gap);
            for (const bool with_bias : {false, true}) {
                std::vector<float> y(layer.dy.size(), not_a_number);
                RUN(device, linear_forward, y, layer.y_stride, layer.x, layer.x_stride, layer.weight,
                    with_bias ? &layer.bias : nullptr, rows, N, K);
                CHECK(relative_error(packed(y, rows, N, layer.y_stride), layer.forward(with_bias)) < 2e-6);
            }
        }
}

DEVICE_TEST("linear_gelu_forward gives the product and its gelu") {
    for (const Shape& shape : shapes) {
        const auto [rows, N, K] = shape;
        CAPTURE(rows);
        CAPTURE(N);
        const Layer layer(shape, 0);
        std::vector<float> y(layer.dy.size(), not_a_number), activated = y;
        RUN(device, linear_gelu_forward, activated, y, layer.x, layer.weight, layer.bias, rows, N, K);
        std::vector<double> expected = layer.forward(true);
        CHECK(relative_error(y, expected) < 2e-6);
        for (double& value : expected) value *= 0.5 * (1 + std::erf(value / std::sqrt(2.0)));
        CHECK(relative_error(activated, expected) < 3e-6);
        std::vector<float> alone(activated.size(), not_a_number);  // without the input of gelu
        RUN(device, linear_gelu_forward, alone, address<float>(nullptr), layer.x, layer.weight, layer.bias,
            rows, N, K);
        CHECK(same_bits(alone, activated));
    }
}

DEVICE_TEST("linear_backward_input overwrites, its accumulating form adds") {
    for (const Shape& shape : shapes)
        for (const std::int64_t gap : {0, 3}) {
            const auto [rows, N, K] = shape;
            CAPTURE(rows);
            CAPTURE(N);
            CAPTURE(K);
            const Layer layer(shape, gap);
            std::vector<float> dx(layer.x.size(), not_a_number);
            RUN(device, linear_backward_input, dx, layer.x_stride, layer.dy, layer.y_stride, layer.weight,
                rows, N, K);
            CHECK(relative_error(packed(dx, rows, K, layer.x_stride), layer.input_gradient(0)) < 2e-6);
            for (std::int64_t row = 0; row < rows; ++row)
                std::fill_n(dx.begin() + row * layer.x_stride, K, 1.5f);
            RUN(device, linear_backward_input_accumulate, dx, layer.x_stride, layer.dy, layer.y_stride,
                layer.weight, rows, N, K);
            CHECK(relative_error(packed(dx, rows, K, layer.x_stride), layer.input_gradient(1.5)) < 2e-6);
        }
}

DEVICE_TEST("linear_backward_weight adds to the gradients of weight and bias") {
    for (const Shape& shape : shapes)
        for (const std::int64_t gap : {0, 3}) {
            const auto [rows, N, K] = shape;
            CAPTURE(rows);
            CAPTURE(N);
            CAPTURE(K);
            const Layer layer(shape, gap);
            std::vector<float> workspace(
                static_cast<std::size_t>(SIZE_ON(device, linear_backward_weight_workspace, N)), not_a_number);
            for (const bool with_bias : {false, true}) {
                std::vector<float> d_weight(layer.weight.size(), 0.5f), d_bias(layer.bias.size(), -0.25f);
                RUN(device, linear_backward_weight, d_weight, with_bias ? &d_bias : nullptr, workspace,
                    layer.dy, layer.y_stride, layer.x, layer.x_stride, rows, N, K);
                CHECK(relative_error(d_weight, layer.weight_gradient(0.5)) < 5e-6);
                const std::vector<double> untouched(layer.bias.size(), -0.25);
                CHECK(relative_error(d_bias, with_bias ? layer.bias_gradient(-0.25) : untouched) < 5e-6);
            }
        }
}

DEVICE_TEST("matmul is the plain product") {
    for (const auto& [M, N, K] : shapes) {
        const std::vector<float> A = uniform(M * K, 5), B = uniform(K * N, 6);
        std::vector<float> C(static_cast<std::size_t>(M * N), not_a_number);
        RUN(device, matmul, C, A, B, M, N, K);
        std::vector<double> expected(C.size());
        for (std::int64_t m = 0; m < M; ++m)
            for (std::int64_t k = 0; k < K; ++k)
                for (std::int64_t n = 0; n < N; ++n)
                    expected[static_cast<std::size_t>(m * N + n)] +=
                        static_cast<double>(A[static_cast<std::size_t>(m * K + k)]) *
                        static_cast<double>(B[static_cast<std::size_t>(k * N + n)]);
        CHECK(relative_error(C, expected) < 2e-6);
    }
}

DEVICE_TEST("linear: the same operands give the same bits") {
    for (const Shape& shape : shapes) {
        const Layer layer(shape);
        CHECK(same_bits(all_results(device, layer), all_results(device, layer)));
    }
}

TEST_CASE("linear on the CPU: the bits of a row do not depend on the other rows") {
    for (const auto& [N, K] :
         {std::pair<std::int64_t, std::int64_t>{96, 96}, {48, 400}, {20, 33}, {64, 800}}) {
        const Layer many({1100, N, K}, 0);
        std::vector<float> expected(many.dy.size());
        RUN(Device::cpu, linear_forward, expected, N, many.x, K, many.weight, many.bias, 1100, N, K);
        for (const std::int64_t rows : {1, 2, 5, 12, 15, 17, 27, 77, 131, 151, 257, 390, 601, 1099}) {
            const std::int64_t first = 1100 - rows;
            const std::vector<float> x(many.x.begin() + first * K, many.x.end());
            std::vector<float> y(static_cast<std::size_t>(rows * N), not_a_number), activated = y, before = y;
            RUN(Device::cpu, linear_forward, y, N, x, K, many.weight, many.bias, rows, N, K);
            RUN(Device::cpu, linear_gelu_forward, activated, before, x, many.weight, many.bias, rows, N, K);
            CAPTURE(rows);
            CAPTURE(N);
            CAPTURE(K);
            const std::vector<float> same(expected.begin() + first * N, expected.end());
            CHECK(same_bits(y, same));
            CHECK(same_bits(before, same));
        }
    }
}

TEST_CASE("linear: results do not depend on the number of threads") {
    // One row, few, many and one too many for even tiles; sums that the library would cut.
    for (const Shape& shape : std::vector<Shape>{{1, 256, 768},
                                                 {1, 768, 40},
                                                 {3, 40, 2816},
                                                 {300, 64, 64},
                                                 {600, 2816, 48},
                                                 {512, 2816, 1024},
                                                 {1025, 130, 700},
                                                 {2051, 40, 24},
                                                 {2051, 300, 20}}) {
        CAPTURE(shape.rows);
        CAPTURE(shape.N);
        CAPTURE(shape.K);
        const Layer layer(shape);
        CHECK(same_for_any_threads([&] { return all_results(Device::cpu, layer); }));
    }
}

namespace {

// Aligned to 16 bytes throughout, and not; patches of few pixels; a single row; long sums.
const std::vector<Shape> bf16_shapes = {{1, 1, 1},    {1, 64, 48},   {2, 256, 64}, {17, 33, 20},
                                        {40, 48, 3},  {40, 64, 12},  {63, 130, 5}, {300, 72, 136},
                                        {333, 16, 8}, {700, 40, 24}, {33, 8, 1030}};

// `values` with `before` elements in front of them that move the address off its alignment.
std::vector<bf16> moved(const std::vector<float>& values, std::int64_t before) {
    std::vector<float> all(static_cast<std::size_t>(before), not_a_number);
    all.insert(all.end(), values.begin(), values.end());
    return to_bf16(all);
}

std::vector<float> moved_back(const std::vector<bf16>& values, std::int64_t before) {
    return to_floats({values.begin() + before, values.end()});
}

// A device workspace as a job has it.
struct Workspace {
    Memory memory = Memory(Device::cuda, std::size_t{4} << 20);
    Stream stream() const {
        Stream stream;
        stream.workspace = memory.data();
        stream.workspace_bytes = memory.size();
        return stream;
    }
};

}  // namespace

CUDA_TEST("linear in bf16: a result is the product, rounded once") {
    for (const Shape& shape : bf16_shapes)
        for (const std::int64_t gap : {0, 3, 8})
            for (const std::int64_t before : {0, 1, 2}) {
                const auto [rows, N, K] = shape;
                CAPTURE(rows);
                CAPTURE(N);
                CAPTURE(K);
                CAPTURE(gap);
                CAPTURE(before);
                const Layer layer = Layer(shape, gap).in_bf16();
                const std::vector<bf16> x = moved(layer.x, before), dy = moved(layer.dy, before),
                                        weight = moved(layer.weight, before),
                                        bias = moved(layer.bias, before);
                const auto at = [&](auto& vector) { return from(vector, before); };
                const auto error = [](const std::vector<float>& actual, const std::vector<double>& expected) {
                    return excess_error(actual, expected, 1.01 * bf16_rounding);
                };
                const std::vector<float> nothing(layer.dy.size(), not_a_number);
                for (const bool with_bias : {false, true}) {
                    std::vector<bf16> y = moved(nothing, before), no_bias;
                    RUN_CUDA(linear_forward, at(y), layer.y_stride, at(x), layer.x_stride, at(weight),
                             with_bias ? at(bias) : from(std::as_const(no_bias), 0), rows, N, K);
                    CHECK(error(packed(moved_back(y, before), rows, N, layer.y_stride),
                                layer.forward(with_bias)) < 1e-4);
                }
                std::vector<bf16> dx = moved(std::vector<float>(layer.x.size(), not_a_number), before);
                RUN_CUDA(linear_backward_input, at(dx), layer.x_stride, at(dy), layer.y_stride, at(weight),
                         rows, N, K);
                CHECK(error(packed(moved_back(dx, before), rows, K, layer.x_stride),
                            layer.input_gradient(0)) < 1e-4);
                for (std::int64_t row = 0; row < rows; ++row)
                    std::fill_n(dx.begin() + before + row * layer.x_stride, K, nearest_bf16(1.5f));
                RUN_CUDA(linear_backward_input_accumulate, at(dx), layer.x_stride, at(dy), layer.y_stride,
                         at(weight), rows, N, K);
                CHECK(error(packed(moved_back(dx, before), rows, K, layer.x_stride),
                            layer.input_gradient(1.5)) < 1e-4);
            }
}

CUDA_TEST("linear in bf16: gradients of parameters are float") {
    const Workspace memory;
    for (const Shape& shape : bf16_shapes)
        for (const std::int64_t gap : {0, 3, 8}) {
            const auto [rows, N, K] = shape;
            CAPTURE(rows);
            CAPTURE(N);
            CAPTURE(K);
            const Layer layer = Layer(shape, gap).in_bf16();
            const std::vector<bf16> x = to_bf16(layer.x), dy = to_bf16(layer.dy);
            std::vector<float> workspace(
                static_cast<std::size_t>(SIZE_ON(Device::cuda, linear_backward_weight_workspace, N)),
                not_a_number);
            for (const Stream& stream : {Stream(), memory.stream()}) {
                std::vector<float> d_weight(layer.weight.size(), 0.5f), d_bias(layer.bias.size(), -0.25f);
                kernel_check::run(
                    Device::cuda,
                    [&](Device, auto... all) {
                        if constexpr (cuda_backend_built) cuda::linear_backward_weight(stream, all...);
                    },
                    d_weight, d_bias, workspace, dy, layer.y_stride, x, layer.x_stride, rows, N, K);
                CHECK(relative_error(d_weight, layer.weight_gradient(0.5)) < 5e-6);
                CHECK(relative_error(d_bias, layer.bias_gradient(-0.25)) < 5e-6);
            }
        }
}

// Difference of a bf16 from x Phi(x) beyond its rounding, the tanh form's error and that of an approximate
// tanh (matmul.h).
double gelu_excess(float actual, double x) {
    const double exact = x * 0.5 * (1 + std::erf(x / std::sqrt(2.0)));
    return std::abs(actual - exact) - 1.01 * bf16_rounding * std::abs(exact) - 4.8e-4 - std::abs(x) * 0x1p-12;
}

CUDA_TEST("linear_gelu_forward in bf16: within the contract of exact GELU") {
    for (const Shape& shape : bf16_shapes) {
        const auto [rows, N, K] = shape;
        CAPTURE(rows);
        CAPTURE(N);
        const Layer layer = Layer(shape, 0).in_bf16();
        const std::vector<float> nothing(layer.dy.size(), not_a_number);
        std::vector<bf16> y = to_bf16(nothing), activated = y;
        RUN_CUDA(linear_gelu_forward, activated, y, to_bf16(layer.x), to_bf16(layer.weight),
                 to_bf16(layer.bias), rows, N, K);
        std::vector<bf16> alone = to_bf16(nothing);
        RUN_CUDA(linear_gelu_forward, alone, address<bf16>(nullptr), to_bf16(layer.x), to_bf16(layer.weight),
                 to_bf16(layer.bias), rows, N, K);
        const std::vector<double> unrounded = layer.forward(true);
        const std::vector<float> stored = to_floats(y);
        CHECK(excess_error(stored, unrounded, 1.01 * bf16_rounding) < 1e-4);
        for (const std::vector<float>& result : {to_floats(activated), to_floats(alone)}) {
            // Fused into the product, gelu sees the unrounded sum; in a pass of its own, y as stored.
            double fused = 0, separate = 0;
            for (std::size_t i = 0; i < result.size(); ++i) {
                fused = std::max(fused, gelu_excess(result[i], unrounded[i]));
                separate = std::max(separate, gelu_excess(result[i], stored[i]));
            }
            CHECK(std::min(fused, separate) < 1e-5);
        }
    }
}

CUDA_TEST(
    "linear in bf16: a workspace changes no result beyond rounding, and the same call gives the same bits") {
    const Workspace memory;
    const Layer layer = Layer({2000, 40, 24}, 8).in_bf16();
    const auto [rows, N, K] = layer.shape;
    const std::vector<bf16> x = to_bf16(layer.x), dy = to_bf16(layer.dy);
    const auto gradient = [&, rows, N, K](const Stream& stream) {
        std::vector<float> d_weight(layer.weight.size(), 0.0f),
            workspace(static_cast<std::size_t>(SIZE_ON(Device::cuda, linear_backward_weight_workspace, N)));
        kernel_check::run(
            Device::cuda,
            [&](Device, auto... all) {
                if constexpr (cuda_backend_built) cuda::linear_backward_weight(stream, all...);
            },
            d_weight, address<float>(nullptr), workspace, dy, layer.y_stride, x, layer.x_stride, rows, N, K);
        return d_weight;
    };
    const std::vector<float> first = gradient(memory.stream());
    // Tensor cores align the terms of a sum and truncate: an error in every addition, of one sign.
    const double bound = static_cast<double>(rows) * 0x1p-24;
    CHECK(relative_error(gradient(Stream()), widened(first)) < bound);
    for (int i = 0; i < 3; ++i) CHECK(same_bits(gradient(memory.stream()), first));
}

CUDA_TEST("matmul in bf16 is the plain product, rounded once") {
    for (const auto& [M, N, K] : bf16_shapes) {
        const std::vector<float> A = rounded_to_bf16(uniform(M * K, 5)),
                                 B = rounded_to_bf16(uniform(K * N, 6));
        std::vector<bf16> C(static_cast<std::size_t>(M * N), bf16{0x7FFF});
        RUN_CUDA(matmul, C, to_bf16(A), to_bf16(B), M, N, K);
        std::vector<double> expected(C.size());
        for (std::int64_t m = 0; m < M; ++m)
            for (std::int64_t k = 0; k < K; ++k)
                for (std::int64_t n = 0; n < N; ++n)
                    expected[static_cast<std::size_t>(m * N + n)] +=
                        static_cast<double>(A[static_cast<std::size_t>(m * K + k)]) *
                        static_cast<double>(B[static_cast<std::size_t>(k * N + n)]);
        CHECK(excess_error(to_floats(C), expected, 1.01 * bf16_rounding) < 1e-4);
    }
}
