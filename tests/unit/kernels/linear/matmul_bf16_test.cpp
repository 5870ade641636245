#include "kernels/linear/matmul_bf16.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/linear/matmul.h"
#include "tests/unit/kernels/linear/linear_layer.h"

using namespace kernel_check;

namespace {

using cpu::Bf16Unit;

// Calls test() with each unit of this CPU.
template <class Test>
void with_each_unit(Test test) {
    const Bf16Unit fastest = cpu::bf16_unit();
    if (fastest == Bf16Unit::none) return skip_test("no products in bf16 on this CPU");
    for (const Bf16Unit unit : {Bf16Unit::avx512, Bf16Unit::amx}) {
        if (unit > fastest) continue;
        cpu::limit_bf16_unit(unit);
        INFO((unit == Bf16Unit::amx ? "AMX" : "AVX512-BF16"));
        test();
    }
    cpu::limit_bf16_unit(Bf16Unit::amx);
}

// Around the sizes of panels, steps, blocks and tiles, and sums over more rows than are packed at once.
const std::vector<Shape> shapes = {{1, 1, 1},     {3, 5, 7},     {16, 32, 32},   {17, 33, 20},  {31, 31, 34},
                                   {33, 64, 96},  {63, 130, 5},  {128, 96, 64},  {129, 48, 65}, {300, 70, 33},
                                   {513, 40, 40}, {1100, 17, 9}, {1025, 33, 130}};

// Sums in fp32, in another order than the formula's.
constexpr double tolerance = 5e-6;

struct Packed {
    std::vector<bf16> forward, backward;

    explicit Packed(const Layer& layer) {
        const auto [rows, N, K] = layer.shape;
        const auto elements = static_cast<std::size_t>(cpu::packed_bf16_elements(N, K));
        forward.resize(elements);
        backward.resize(elements);
        cpu::pack_bf16(forward.data(), layer.weight.data(), N, K);
        cpu::pack_bf16_backward(backward.data(), layer.weight.data(), N, K);
    }
};

// y, gelu(y), dx, dx added to 1.5, dW added to 0.5 and db added to -0.25; the first of strided rows.
struct Results {
    std::vector<float> y, plain, activated, dx, added, d_weight, d_bias;
    std::vector<float> all() const {
        std::vector<float> values;
        for (const auto* part : {&y, &plain, &activated, &dx, &added, &d_weight, &d_bias})
            values.insert(values.end(), part->begin(), part->end());
        return values;
    }
};

Results results_of(const Layer& layer) {
    const auto [rows, N, K] = layer.shape;
    const Packed weight(layer);
    const std::vector<float> x = packed(layer.x, rows, K, layer.x_stride);
    std::vector<float> y(layer.dy.size(), not_a_number), plain = y, dx(layer.x.size(), not_a_number),
                                                         added = dx;
    for (std::int64_t row = 0; row < rows; ++row) std::fill_n(added.begin() + row * layer.x_stride, K, 1.5f);
    std::vector<float> dense(static_cast<std::size_t>(rows * N), not_a_number),
        activated = dense, workspace(static_cast<std::size_t>(cpu::linear_backward_weight_workspace(N)));
    Results r;
    r.d_weight.assign(layer.weight.size(), 0.5f);
    r.d_bias.assign(layer.bias.size(), -0.25f);
    cpu::linear_forward(y.data(), layer.y_stride, layer.x.data(), layer.x_stride, weight.forward.data(),
                        layer.bias.data(), rows, N, K);
    cpu::linear_forward(plain.data(), layer.y_stride, layer.x.data(), layer.x_stride, weight.forward.data(),
                        nullptr, rows, N, K);
    cpu::linear_gelu_forward(activated.data(), dense.data(), x.data(), weight.forward.data(),
                             layer.bias.data(), rows, N, K);
    cpu::linear_backward_input(dx.data(), layer.x_stride, layer.dy.data(), layer.y_stride,
                               weight.backward.data(), rows, N, K);
    cpu::linear_backward_input_accumulate(added.data(), layer.x_stride, layer.dy.data(), layer.y_stride,
                                          weight.backward.data(), rows, N, K);
    cpu::linear_backward_weight(Bf16ProductSum{r.d_weight.data()}, r.d_bias.data(), workspace.data(),
                                layer.dy.data(), layer.y_stride, layer.x.data(), layer.x_stride, rows, N, K);
    r.y = packed(y, rows, N, layer.y_stride);
    r.plain = packed(plain, rows, N, layer.y_stride);
    r.activated = activated;
    r.dx = packed(dx, rows, K, layer.x_stride);
    r.added = packed(added, rows, K, layer.x_stride);
    CHECK(same_bits(dense, r.y));
    return r;
}

// The layer that the products see: rounded operands, and a bias that is not.
Layer rounded(const Layer& layer) {
    Layer seen = layer.in_bf16();
    seen.bias = layer.bias;
    return seen;
}

}  // namespace

TEST_CASE("linear on the CPU in bf16: products of rounded operands, sums in fp32") {
    with_each_unit([] {
        for (const Shape& shape : shapes)
            for (const std::int64_t gap : {0, 3}) {
                CAPTURE(shape.rows);
                CAPTURE(shape.N);
                CAPTURE(shape.K);
                CAPTURE(gap);
                const Layer layer(shape, gap), seen = rounded(layer);
                const Results r = results_of(layer);
                std::vector<double> expected = seen.forward(true);
                CHECK(relative_error(r.y, expected) < tolerance);
                CHECK(relative_error(r.plain, seen.forward(false)) < tolerance);
                for (double& value : expected) value *= 0.5 * (1 + std::erf(value / std::sqrt(2.0)));
                CHECK(relative_error(r.activated, expected) < tolerance);
                CHECK(relative_error(r.dx, seen.input_gradient(0)) < tolerance);
                CHECK(relative_error(r.added, seen.input_gradient(1.5)) < tolerance);
                CHECK(relative_error(r.d_weight, seen.weight_gradient(0.5)) < tolerance);
                CHECK(relative_error(r.d_bias, layer.bias_gradient(-0.25)) < tolerance);
            }
    });
}

TEST_CASE("linear on the CPU in bf16: results do not depend on the number of threads") {
    with_each_unit([] {
        for (const Shape& shape : std::vector<Shape>{
                 {1, 256, 300}, {3, 800, 40}, {300, 64, 64}, {700, 300, 48}, {1025, 130, 200}}) {
            CAPTURE(shape.rows);
            CAPTURE(shape.N);
            CAPTURE(shape.K);
            const Layer layer(shape);
            CHECK(same_for_any_threads([&] { return results_of(layer).all(); }));
        }
    });
}

TEST_CASE("linear on the CPU in bf16: the bits of a row do not depend on the other rows") {
    with_each_unit([] {
        const Layer many({300, 70, 40}, 0);
        Layer one({1, 70, 40}, 0);
        one.weight = many.weight;
        one.bias = many.bias;
        const std::vector<float> y = results_of(many).y;
        for (const std::int64_t row : {0, 17, 131, 299}) {
            one.x.assign(many.x.begin() + row * 40, many.x.begin() + (row + 1) * 40);
            CHECK(same_bits(results_of(one).y, {y.begin() + row * 70, y.begin() + (row + 1) * 70}));
        }
    });
}

TEST_CASE("linear on the CPU in bf16: infinities and NaN are kept") {
    with_each_unit([] {
        Layer layer({2, 3, 40}, 0);
        layer.x[5] = std::numeric_limits<float>::infinity();
        layer.x[45] = not_a_number;
        const std::vector<float> y = results_of(layer).plain;
        for (std::size_t n = 0; n < 3; ++n) {
            CHECK(std::isinf(y[n]));
            CHECK(std::isnan(y[3 + n]));
        }
    });
}
