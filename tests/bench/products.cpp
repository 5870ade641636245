// Matrix products of every linear layer of the model, in training and in sampling.
#include <fmt/format.h>

#include <algorithm>

#include "kernels/linear/matmul.h"
#include "kernels/linear/matmul_bf16.h"
#include "kernels/linear/packed_linear.h"
#include "kernels/sampling/pixel_sampler.h"
#include "runtime/device/launch.h"
#include "tests/bench/costs.h"

namespace {

void add_linear(KernelList& list, const LinearShape& shape) {
    const auto [rows, N, K] = shape;
    const double a = list.activation_bytes();
    const Cost cost = linear_cost(shape, a, list.weight_bytes());
    list.add("linear_forward", shape.text(), Bound::arithmetic, cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(rows * N), x = in.activations(rows * K),
                             bias = in.activations(N);
        const WeightPointer weight = in.matrix(N, K);
        return [=] { LAUNCH_ON(on.device, on.stream, linear_forward, y, N, x, K, weight, bias, rows, N, K); };
    });
    list.add("linear_backward_input", shape.text(), Bound::arithmetic, cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer dx = in.activations(rows * K), dy = in.activations(rows * N);
        const WeightPointer weight = in.matrix(N, K, PackedFor::backward);
        return
            [=] { LAUNCH_ON(on.device, on.stream, linear_backward_input, dx, K, dy, N, weight, rows, N, K); };
    });
    list.add("linear_backward_input_accumulate", shape.text(), Bound::arithmetic, cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer dx = in.activations(rows * K), dy = in.activations(rows * N);
        const WeightPointer weight = in.matrix(N, K, PackedFor::backward);
        return [=] {
            LAUNCH_ON(on.device, on.stream, linear_backward_input_accumulate, dx, K, dy, N, weight, rows, N,
                      K);
        };
    });
    const Cost weight_cost = linear_cost(shape, a, 4);
    list.add("linear_backward_weight", shape.text(), Bound::arithmetic, weight_cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ProductSum d_weight = in.product_sum(N * K);
        float *d_bias = in.floats(N),
              *workspace = in.floats(SIZE_ON(on.device, linear_backward_weight_workspace, N));
        const ElementPointer dy = in.activations(rows * N), x = in.activations(rows * K);
        return [=] {
            LAUNCH_ON(on.device, on.stream, linear_backward_weight, d_weight, d_bias, workspace, dy, N, x, K,
                      rows, N, K);
        };
    });
}

void add_linear_gelu(KernelList& list, const LinearShape& shape) {
    const auto [rows, N, K] = shape;
    const Cost cost = linear_gelu_cost(shape, list.activation_bytes(), list.weight_bytes());
    list.add("linear_gelu_forward", shape.text(), Bound::arithmetic, cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(rows * N), activated = in.activations(rows * N),
                             x = in.activations(rows * K), bias = in.activations(N);
        const WeightPointer weight = in.matrix(N, K);
        return [=] {
            LAUNCH_ON(on.device, on.stream, linear_gelu_forward, activated, y, x, weight, bias, rows, N, K);
        };
    });
}

// One row for each sequence of a sampling step. The bytes are those of one pass over the weights.
void add_packed_linear(KernelList& list, const LinearShape& shape) {
    const auto [rows, N, K] = shape;
    const Cost cost = packed_linear_cost(shape, list.activation_bytes());
    list.add("packed_linear_forward", shape.text(), Bound::arithmetic, cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *weight = in.floats(N * K), *bias = in.floats(N);
        const ElementPointer packed = in.activations(SIZE_ON(on.device, packed_linear_elements, N, K)),
                             y = in.activations(rows * N), x = in.activations(rows * K);
        LAUNCH_ON(on.device, on.stream, pack_linear, packed, weight, bias, N, K);
        return [=] { LAUNCH_ON(on.device, on.stream, packed_linear_forward, y, x, packed, rows, N, K); };
    });
}

// All channels of one pixel of so many images. The bytes are those of one pass over the weights.
void add_pixel_sample(KernelList& list, const PixelSamplerShape& shape, std::int64_t draws) {
    const auto [C, W, K, B, heads] = shape;
    const Cost cost = pixel_sample_cost(shape, draws, draws, list.activation_bytes());
    list.add("pixel_sample", fmt::format("{} x {} channels", draws, C), Bound::arithmetic, cost,
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const float* w = in.floats(std::max(4 * W, std::max(K, Shapes::vocabulary)) * W);
                 const PixelSamplerBlock block{w, w, w, w, w, w, w, w, w, w, w, w};
                 const std::vector<PixelSamplerBlock> blocks(static_cast<std::size_t>(B), block);
                 const PixelSamplerWeights weights{w, w, {w, w, w}, w, w, w, w, {w, w, w}, blocks.data()};
                 const ElementPointer packed =
                     in.activations(SIZE_ON(on.device, pixel_sampler_packed_elements, shape));
                 LAUNCH_ON(on.device, on.stream, pixel_sampler_pack, packed, weights, shape);
                 std::int32_t* values = in.integers(draws * C, Shapes::vocabulary);
                 const ElementPointer conditions = in.activations(draws * K);
                 float *uniforms = in.uniforms(C * draws), *margins = nullptr;
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, pixel_sample, values, margins, conditions, uniforms,
                               packed, shape, draws, Guidance{});
                 };
             });
}

}  // namespace

void add_products(KernelList& list) {
    const Shapes& shapes = list.shapes();
    const auto& pixels = shapes.pixels;
    for (const LinearShape& shape : shapes.linear) add_linear(list, shape);
    add_linear_gelu(list, {pixels.rows(), pixels.hidden, pixels.width});
    add_linear(list, {pixels.count, Shapes::vocabulary, pixels.width});  // logits of one channel
    for (const LinearShape& shape : shapes.packed) add_packed_linear(list, shape);
    for (const std::int64_t draws : shapes.pixel_draws) add_pixel_sample(list, shapes.pixel_sampler, draws);
}
