// Matrix products of every linear layer of the model, in training and in sampling: bound by arithmetic.
#include <fmt/format.h>

#include "kernels/matmul.h"
#include "kernels/packed_linear.h"
#include "kernels/pixel_sampler.h"
#include "tests/bench/benchmarks.h"
#include "tests/bench/numbers.h"

namespace {

struct LinearShape {
    std::int64_t rows, N, K;

    double operations() const { return 2.0 * static_cast<double>(rows * N * K); }
    std::string text() const { return fmt::format("{} rows, {} -> {}", rows, K, N); }
};

void bench_linear(Table& table, const LinearShape& shape) {
    const auto [rows, N, K] = shape;
    const auto x = random_floats(rows * K), weight = random_floats(N * K), bias = random_floats(N),
               dy = random_floats(rows * N);
    auto y = zero_floats(rows * N), dx = zero_floats(rows * K), d_weight = zero_floats(N * K),
         d_bias = zero_floats(N), workspace = zero_floats(cpu::linear_backward_weight_workspace(N));
    table.kernel("linear_forward", shape.text(), Bound::arithmetic, shape.operations(), [&] {
        cpu::linear_forward(y.data(), N, x.data(), K, weight.data(), bias.data(), rows, N, K);
    });
    table.kernel("linear_backward_input", shape.text(), Bound::arithmetic, shape.operations(),
                 [&] { cpu::linear_backward_input(dx.data(), K, dy.data(), N, weight.data(), rows, N, K); });
    table.kernel(
        "linear_backward_input_accumulate", shape.text(), Bound::arithmetic, shape.operations(), [&] {
            cpu::linear_backward_input_accumulate(dx.data(), K, dy.data(), N, weight.data(), rows, N, K);
        });
    table.kernel("linear_backward_weight", shape.text(), Bound::arithmetic, shape.operations(), [&] {
        cpu::linear_backward_weight(d_weight.data(), d_bias.data(), workspace.data(), dy.data(), N, x.data(),
                                    K, rows, N, K);
    });
}

void bench_linear_gelu(Table& table, const LinearShape& shape) {
    const auto [rows, N, K] = shape;
    const auto x = random_floats(rows * K), weight = random_floats(N * K), bias = random_floats(N);
    auto y = zero_floats(rows * N), activated = zero_floats(rows * N);
    table.kernel("linear_gelu_forward", shape.text(), Bound::arithmetic, shape.operations(), [&] {
        cpu::linear_gelu_forward(activated.data(), y.data(), x.data(), weight.data(), bias.data(), rows, N,
                                 K);
    });
}

// A sampling step of 16 images: one row each.
void bench_packed_linear(Table& table, const LinearShape& shape) {
    const auto [rows, N, K] = shape;
    const auto x = random_floats(rows * K), weight = random_floats(N * K);
    auto y = zero_floats(rows * N), packed = zero_floats(cpu::packed_linear_elements(N, K));
    cpu::pack_linear(packed.data(), weight.data(), nullptr, N, K);
    table.kernel("packed_linear_forward", shape.text(), Bound::arithmetic, shape.operations(),
                 [&] { cpu::packed_linear_forward(y.data(), x.data(), packed.data(), rows, N, K); });
}

// All channels of one pixel of 16 images.
void bench_pixel_sampler(Table& table) {
    constexpr std::int64_t draws = 16, C = 3, W = 64, K = 128, B = 2;
    const PixelSamplerShape shape{C, W, K, B, 2};
    const auto weights = random_floats(256 * W), conditions = random_floats(draws * K);
    const float* w = weights.data();
    const PixelSamplerBlock block{w, w, w, w, w, w, w, w, w, w, w, w};
    const std::vector<PixelSamplerBlock> blocks(B, block);
    auto packed = zero_floats(cpu::pixel_sampler_packed_elements(shape)), uniforms = zero_floats(C * draws);
    cpu::pixel_sampler_pack(packed.data(), {w, w, {w, w, w}, w, w, w, w, {w, w, w}, blocks.data()}, shape);
    std::vector<std::int32_t> values(draws * C);
    table.kernel("pixel_sample", fmt::format("{} x {} channels", draws, C), Bound::arithmetic,
                 2.0 * draws * W * (K + C * (12 * W * B + 256)), [&] {
                     cpu::pixel_sample(values.data(), nullptr, conditions.data(), uniforms.data(),
                                       packed.data(), shape, draws, {});
                 });
}

}  // namespace

void bench_products(Table& table) {
    // Per level: qkv, the attention's output, the feed-forward's way up (both matrices at once, where it is
    // gated) and down.
    for (const LinearShape& shape : {LinearShape{2048, 768, 256},
                                     {2048, 256, 256},
                                     {2048, 1536, 256},
                                     {2048, 256, 768},
                                     {2048, 384, 128},
                                     {2048, 128, 128},
                                     {2048, 1024, 128},
                                     {2048, 128, 512},
                                     {2046, 192, 64},
                                     {2046, 64, 64},
                                     {2046, 64, 256}})
        bench_linear(table, shape);
    bench_linear_gelu(table, {2046, 256, 64});
    bench_linear(table, {682, 256, 64});  // logits of one channel
    for (const LinearShape& shape :
         {LinearShape{16, 768, 256}, {16, 1536, 256}, {16, 256, 768}, {16, 384, 128}, {16, 1024, 128}})
        bench_packed_linear(table, shape);
    bench_pixel_sampler(table);
}
