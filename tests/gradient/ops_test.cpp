// Every differentiable operation of runtime/ops/ops.h against central differences.
#include "runtime/ops/ops.h"

#include <stdexcept>

#include "tests/gradient/gradient_check.h"
#include "tests/test_devices.h"

using namespace gradient_check;

namespace {

constexpr float epsilon = 1e-5f;

// Parameters whose every element is random, so that no gradient is accidentally right.
struct Weights {
    Parameters parameters;

    Parameter& add(const char* name, std::vector<std::int64_t> shape, bool adjacent = false) {
        return parameters.add(name, std::move(shape), Init::zeros, adjacent);
    }
    Parameters* draw(Device device, float deviation = 0.5f) {
        parameters.allocate(device, true);
        for (Parameter& parameter : parameters.all()) {
            std::vector<float> values(static_cast<std::size_t>(parameter.count));
            random_normal(values.data(), parameter.count, random_key(7, parameter.name), deviation);
            copy_to_device(device, parameter.value, values.data(), values.size() * sizeof(float));
        }
        return &parameters;
    }
};

DropoutRule dropout_rule(const Tensor& sequence_ids) {
    return {0.3f, random_key(5, "dropout"), 2, sequence_ids.node()};
}

}  // namespace

GRADIENT_TEST("gradient: linear") {
    for (const bool with_bias : {false, true})
        for (const std::int64_t rows : {1, 7}) {
            CAPTURE(with_bias);
            CAPTURE(rows);
            Weights weights;
            const Parameter& weight = weights.add("weight", {5, 3});
            const Parameter* bias = with_bias ? &weights.add("bias", {5}) : nullptr;
            Check(device, {{rows, 3, 1}}, weights.draw(device),
                  weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                      return linear(tape, in[0], weight, bias);
                  }))
                .run();
        }
}

GRADIENT_TEST("gradient: linear_tokens") {
    Weights weights;
    const Parameter& weight = weights.add("weight", {5, 3});
    const Parameter& bias = weights.add("bias", {5});
    Check(device, {{4, 6, 1}}, weights.draw(device),
          weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
              return linear_tokens(tape, in[0], weight, &bias);
          }))
        .run();
    Tape tape(device);
    CHECK_THROWS_AS(plan_job(tape, [&] { linear(tape, tape.create(4, 6, true), weight, &bias); }),
                    std::logic_error);
}

GRADIENT_TEST("gradient: dropout") {
    const std::vector<std::int64_t> numbers = {3, 8};
    Check(device, {{6, 5, 2}}, nullptr, weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
              return dropout(tape, in[0], dropout_rule(constant(tape, 2, numbers)));
          }))
        .run();
}

GRADIENT_TEST("gradient: linear_pair") {
    Weights weights;
    const Parameter& first = weights.add("first", {5, 3});
    const Parameter& second = weights.add("second", {5, 3}, true);
    Check(device, {{6, 3, 2}}, weights.draw(device),
          weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
              const Tensor y = linear_pair(tape, in[0], first, second);
              CHECK(y.width() == 10);
              return y;
          }))
        .run();
    Weights apart;
    const Parameter& one = apart.add("one", {5, 3});
    const Parameter& other = apart.add("other", {5, 3});
    Tape tape(device);
    plan_job(tape, [&] {
        const Tensor x = tape.create(6, 3, true);
        CHECK_THROWS_AS(linear_pair(tape, x, one, other), std::logic_error);
        CHECK_THROWS_AS(linear(tape, tape.create(6, 4, true), one, nullptr), std::logic_error);
    });
}

GRADIENT_TEST("gradient: linear_gelu") {
    Weights weights;
    const Parameter& weight = weights.add("weight", {9, 4});
    const Parameter& bias = weights.add("bias", {9});
    Check(device, {{5, 4, 3}}, weights.draw(device),
          weighted_sum(
              [&](Tape& tape, std::span<const Tensor> in) { return linear_gelu(tape, in[0], weight, bias); }))
        .run();
}

GRADIENT_TEST("gradient: linear_gelu whose output's gradient is another tensor's as well") {
    Weights weights;
    const Parameter& weight = weights.add("weight", {4, 4});
    const Parameter& bias = weights.add("bias", {4});
    const Parameter& other = weights.add("other", {4, 4});
    Check(device, {{5, 4, 3}}, weights.draw(device),
          weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
              const Tensor branch = linear(tape, in[0], other, nullptr);
              return residual(tape, linear_gelu(tape, in[0], weight, bias), branch, {});
          }))
        .run();
}

GRADIENT_TEST("gradient: layernorm and rmsnorm") {
    for (const std::int64_t width : {5, 33}) {
        CAPTURE(width);
        Weights layer;
        const Parameter& weight = layer.add("weight", {width});
        const Parameter& bias = layer.add("bias", {width});
        Check(device, {{4, width, 4}}, layer.draw(device),
              weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                  return layernorm(tape, in[0], weight, bias, epsilon);
              }))
            .run();
        Weights root;
        const Parameter& scale = root.add("scale", {width});
        Check(device, {{4, width, 5}}, root.draw(device),
              weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                  return rmsnorm(tape, in[0], scale, epsilon);
              }))
            .run();
    }
}

GRADIENT_TEST("gradient: gated_silu") {
    Check(device, {{3, 14, 6}}, nullptr,
          weighted_sum([](Tape& tape, std::span<const Tensor> in) { return gated_silu(tape, in[0]); }))
        .run();
}

GRADIENT_TEST("gradient: quick_gelu") {
    Check(device, {{3, 14, 6}}, nullptr,
          weighted_sum([](Tape& tape, std::span<const Tensor> in) { return quick_gelu(tape, in[0]); }))
        .run();
}

GRADIENT_TEST("gradient: residual") {
    Check(device, {{6, 5, 7}, {6, 5, 8}}, nullptr, weighted_sum([](Tape& tape, std::span<const Tensor> in) {
              return residual(tape, in[0], in[1], {});
          }))
        .run();
    Check(device, {{6, 5, 7}, {6, 5, 8}}, nullptr, weighted_sum([](Tape& tape, std::span<const Tensor> in) {
              const Tensor sequence_ids = constant<std::int64_t>(tape, 3, {4, 5, 9});
              return residual(tape, in[0], in[1], dropout_rule(sequence_ids));
          }))
        .run();
}

GRADIENT_TEST("gradient: a residual sum and the norm behind it, both used") {
    for (const float probability : {0.0f, 0.3f}) {
        CAPTURE(probability);
        Weights layer;
        const Parameter& weight = layer.add("weight", {5});
        const Parameter& bias = layer.add("bias", {5});
        const auto rule = [&](const Tensor& sequence_ids) {
            DropoutRule dropout = dropout_rule(sequence_ids);
            dropout.probability = probability;
            return dropout;
        };
        Check(device, {{6, 5, 7}, {6, 5, 8}}, layer.draw(device),
              weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                  const Tensor sequence_ids = constant<std::int64_t>(tape, 3, {4, 5, 9});
                  const auto [sum, normed] =
                      residual_layernorm(tape, in[0], in[1], rule(sequence_ids), weight, bias, epsilon);
                  return residual(tape, sum, normed, {});
              }))
            .run();
        Weights root;
        const Parameter& scale = root.add("scale", {5});
        Check(device, {{6, 5, 7}, {6, 5, 8}}, root.draw(device),
              weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                  const Tensor sequence_ids = constant<std::int64_t>(tape, 3, {4, 5, 9});
                  const auto [sum, normed] =
                      residual_rmsnorm(tape, in[0], in[1], rule(sequence_ids), scale, epsilon);
                  return residual(tape, sum, normed, {});
              }))
            .run();
    }
}

GRADIENT_TEST("gradient: rotary turns the gradient in place") {
    const RotaryTable table(device, 2, 4);
    for (const std::int64_t first_position : {0, 2}) {
        CAPTURE(first_position);
        const std::int64_t length = 3, heads = 2;
        Weights weights;
        const Parameter& weight = weights.add("qkv", {3 * 4 * heads, 5});
        Check(device, {{2 * length, 5, 9}}, weights.draw(device),
              weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                  const Tensor qkv = linear(tape, in[0], weight, nullptr);
                  rotary(tape, qkv, table, length, heads, first_position);
                  return qkv;
              }))
            .run();
    }
}

GRADIENT_TEST("gradient: rotary where the gradient is another tensor's as well") {
    const RotaryTable table(device, 2, 4);
    Weights weights;
    const Parameter& weight = weights.add("qkv", {12, 5});
    const Parameter& other = weights.add("other", {12, 5});
    Check(device, {{4, 5, 9}}, weights.draw(device),
          weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
              const Tensor branch = linear(tape, in[0], other, nullptr),
                           qkv = linear(tape, in[0], weight, nullptr);
              rotary(tape, qkv, table, 4, 1, 1);
              return residual(tape, qkv, branch, {});
          }))
        .run();
}

GRADIENT_TEST("gradient: attention") {
    for (const std::int64_t length : {1, 3, 9})
        for (const bool causal : {false, true})
            for (const bool drops : {false, true}) {
                CAPTURE(length);
                CAPTURE(causal);
                CAPTURE(drops);
                const std::int64_t sequences = 2, heads = 2, width = 6;
                Check(device, {{sequences * length, 3 * width, 10}}, nullptr,
                      weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                          const Tensor sequence_ids = constant<std::int64_t>(tape, sequences, {3, 8});
                          return attention(tape, in[0], length, heads, causal,
                                           drops ? dropout_rule(sequence_ids) : DropoutRule{});
                      }))
                    .run();
            }
}

GRADIENT_TEST("gradient: embedding") {
    Weights weights;
    const Parameter& table = weights.add("table", {1, 3});
    weights.add("more", {4, 3}, true);
    Check(device, {}, weights.draw(device), weighted_sum([&](Tape& tape, std::span<const Tensor>) {
              return embedding(tape, constant<std::int32_t>(tape, 7, {4, 0, 2, 2, 1, 4, 3}), table, 5);
          }))
        .run({Before::nothing});
}

GRADIENT_TEST("gradient: level_sequence") {
    const std::int64_t sequences = 3, width = 5;
    for (const std::int64_t length : {2, 5}) {
        CAPTURE(length);
        Weights weights;
        const Parameter& positions = weights.add("positions", {1, length, width});
        Check(device, {{sequences, width, 11}, {sequences * (length - 1), width, 12}}, weights.draw(device),
              weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                  return level_sequence(tape, in[0], in[1], positions, length);
              }))
            .run({Before::nothing});
    }
}

namespace {

// Codebooks [vocabulary, width] and output biases of some channels.
struct Channels {
    Weights weights;
    std::vector<const Parameter*> codebooks, biases;

    Channels(std::size_t count, std::int64_t vocabulary, std::int64_t width, bool with_biases) {
        static constexpr const char* names[] = {"r", "g", "b"};
        static constexpr const char* bias_names[] = {"r.bias", "g.bias", "b.bias"};
        for (std::size_t c = 0; c < count; ++c)
            codebooks.push_back(&weights.add(names[c], {vocabulary, width}));
        for (std::size_t c = 0; with_biases && c < count; ++c)
            biases.push_back(&weights.add(bias_names[c], {1, vocabulary}));
    }
};

const std::vector<std::int32_t> pixels = {0, 6, 2, 3, 3, 1, 6, 0, 5, 2, 6, 4};  // values below 7

}  // namespace

GRADIENT_TEST("gradient: pixel_sequence") {
    // The last channel's codebook enters no output, so only the others have a slope.
    Channels channels(2, 7, 5, false);
    Parameter last;
    last.shape = {7, 5};
    channels.codebooks.push_back(&last);
    Check(device, {{4, 5, 13}}, channels.weights.draw(device),
          weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
              return pixel_sequence(tape, in[0], constant(tape, 4, pixels), channels.codebooks);
          }))
        .run({Before::nothing});
    const Channels grey(1, 7, 5, false);
    Check(device, {{12, 5, 14}}, nullptr, weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
              return pixel_sequence(tape, in[0], constant(tape, 12, pixels), grey.codebooks);
          }))
        .run({Before::nothing});
}

GRADIENT_TEST("gradient: pixel_cross_entropy") {
    for (const std::size_t count : {1, 3}) {
        CAPTURE(count);
        const auto C = static_cast<std::int64_t>(count), N = 12 / C;
        const std::vector<float> scales =
            count == 1 ? std::vector<float>{0.7f} : std::vector<float>{0.5f, 0.3f, 0.1f};
        Channels channels(count, 7, 5, true);
        const Loss loss = [&](Tape& tape, std::span<const Tensor> in, double& sum) {
            const Tensor totals = tape.create(1, C, false, Element::f64);
            zero_tensor(tape, totals);
            pixel_cross_entropy(tape, in[0], constant(tape, N, pixels), channels.codebooks, channels.biases,
                                scales, totals);
            std::vector<double> losses(count);
            copy_from_tensor(tape, losses.data(), totals, losses.size() * sizeof(double));
            for (std::size_t c = 0; c < count; ++c) sum += static_cast<double>(scales[c]) * losses[c];
        };
        Check(device, {{N * C, 5, 15}}, channels.weights.draw(device), loss).run({Before::nothing});
    }
}
