// The fused sampler against the same mathematics put together from the kernels it replaces.
#include "kernels/pixel_sampler.h"

#include <doctest/doctest.h>

#include <deque>

#include "kernels/attention.h"
#include "kernels/embedding.h"
#include "kernels/gelu.h"
#include "kernels/layernorm.h"
#include "kernels/matmul.h"
#include "tests/unit/kernel_check.h"

using namespace kernel_check;

namespace {

using Floats = std::vector<float>;
using Integers = std::vector<std::int32_t>;

constexpr std::int64_t vocabulary = 256;
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t guard = 32;  // entries behind every output that the kernel must leave alone

struct Level {
    Device device;
    PixelSamplerShape shape;
    PixelSamplerWeights weights{};
    std::vector<PixelSamplerBlock> blocks;
    std::deque<DeviceArray<float>> storage;
    Floats packed;

    Level(Device d, const PixelSamplerShape& s)
        : device(d), shape(s), blocks(static_cast<std::size_t>(s.blocks)) {
        const std::int64_t W = s.width;
        linear(weights.condition_weight, weights.condition_bias, W, s.condition_width);
        for (std::size_t c = 0; c < static_cast<std::size_t>(s.channels); ++c)
            linear(weights.codebooks[c], weights.biases[c], vocabulary, W);
        norm(weights.ln_weight, weights.ln_bias);
        norm(weights.norm_weight, weights.norm_bias);
        for (PixelSamplerBlock& block : blocks) {
            norm(block.norm1_weight, block.norm1_bias);
            linear(block.qkv_weight, block.qkv_bias, 3 * W, W);
            linear(block.proj_weight, block.proj_bias, W, W);
            norm(block.norm2_weight, block.norm2_bias);
            linear(block.fc1_weight, block.fc1_bias, 4 * W, W);
            linear(block.fc2_weight, block.fc2_bias, W, 4 * W);
        }
        weights.blocks = blocks.data();
        const auto floats = static_cast<std::size_t>(SIZE_ON(device, pixel_sampler_packed_elements, shape));
        packed.assign(floats + guard, not_a_number);
        RUN(device, pixel_sampler_pack, packed, weights, shape);
        for (std::size_t i = floats; i < packed.size(); ++i) CHECK(std::isnan(packed[i]));
    }

    const float* random(std::int64_t count, float low, float high) {
        const auto seed = static_cast<unsigned>(storage.size() + 1);
        return storage.emplace_back(device, uniform(count, seed, low, high)).data();
    }
    // Wide enough for logits that differ by several units.
    void linear(const float*& weight, const float*& bias, std::int64_t N, std::int64_t K) {
        const float bound = 2.5f / std::sqrt(static_cast<float>(K));
        weight = random(N * K, -bound, bound);
        bias = random(N, -0.5f, 0.5f);
    }
    void norm(const float*& weight, const float*& bias) {
        weight = random(shape.width, 0.5f, 1.5f);
        bias = random(shape.width, -0.3f, 0.3f);
    }
};

struct Draws {
    Integers values;
    Floats margins;
};

// Conditions and uniforms of the same seed, whatever the guidance.
struct Batch {
    std::int64_t draws;
    Guidance guidance;
    Floats conditions, uniforms;

    Batch(const PixelSamplerShape& shape, std::int64_t d, const Guidance& g)
        : draws(d),
          guidance(g),
          conditions(uniform(rows() * shape.condition_width, 77, -1.5f, 1.5f)),
          uniforms(uniform(shape.channels * d, 78, 0, 1)) {}
    bool guided() const { return guidance.scale != 1; }
    std::int64_t rows() const { return guided() ? 2 * draws : draws; }
};

Draws sample(const Level& level, const Batch& batch) {
    const auto count = static_cast<std::size_t>(batch.rows() * level.shape.channels);
    const auto drawn = static_cast<std::size_t>(batch.draws * level.shape.channels);
    Draws result{Integers(count + guard, -1), Floats(drawn + guard, not_a_number)};
    RUN(level.device, pixel_sample, result.values, result.margins, batch.conditions,
        batch.guidance.greedy ? nullptr : &batch.uniforms, level.packed, level.shape, batch.draws,
        batch.guidance);
    for (std::size_t i = 0; i < guard; ++i) {
        CHECK(result.values[count + i] == -1);
        CHECK(std::isnan(result.margins[drawn + i]));
    }
    result.values.resize(count);
    result.margins.resize(drawn);
    return result;
}

// The weights of the following lie on the device.
Floats normalized(Device device, const Floats& x, const float* weight, const float* bias, std::int64_t W) {
    const std::int64_t rows = static_cast<std::int64_t>(x.size()) / W;
    Floats y(x.size()), mean(static_cast<std::size_t>(rows)), rstd(mean);
    RUN(device, layernorm_forward, y, mean, rstd, x, address(weight), address(bias), rows, W, 1e-6f);
    return y;
}

Floats projected(Device device, const Floats& x, const float* weight, const float* bias, std::int64_t N,
                 std::int64_t K) {
    const std::int64_t rows = static_cast<std::int64_t>(x.size()) / K;
    Floats y(static_cast<std::size_t>(rows * N));
    RUN(device, linear_forward, y, N, x, K, address(weight), address(bias), rows, N, K);
    return y;
}

void add(Floats& x, const Floats& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
}

// The outputs [rows, channels, W] of the whole sequence at once, fed with `values`.
Floats transformer(const Level& level, const Batch& batch, const Integers& values) {
    const Device device = level.device;
    const std::int64_t W = level.shape.width, C = level.shape.channels, rows = batch.rows();
    const PixelSamplerWeights& w = level.weights;
    Floats x(static_cast<std::size_t>(rows * C * W));
    RUN(device, linear_forward, x, C * W, batch.conditions, level.shape.condition_width,
        address(w.condition_weight), address(w.condition_bias), rows, W, level.shape.condition_width);
    for (std::int64_t c = 1; c < C; ++c)
        RUN(device, embedding_forward, from(x, c * W), C * W, address(w.codebooks[c - 1]),
            from(values, c - 1), C, rows, W);
    x = normalized(device, x, w.ln_weight, w.ln_bias, W);
    for (const PixelSamplerBlock& block : level.blocks) {
        const Floats qkv = projected(device, normalized(device, x, block.norm1_weight, block.norm1_bias, W),
                                     block.qkv_weight, block.qkv_bias, 3 * W, W);
        Floats attended(x.size()), log_sum_exp(static_cast<std::size_t>(rows * C * level.shape.heads));
        RUN(device, attention_forward, attended, log_sum_exp, qkv,
            AttentionShape{rows, C, level.shape.heads, W / level.shape.heads, true}, AttentionDropout{});
        add(x, projected(device, attended, block.proj_weight, block.proj_bias, W, W));
        Floats hidden = projected(device, normalized(device, x, block.norm2_weight, block.norm2_bias, W),
                                  block.fc1_weight, block.fc1_bias, 4 * W, W);
        RUN(device, gelu_forward, hidden, hidden, static_cast<std::int64_t>(hidden.size()));
        add(x, projected(device, hidden, block.fc2_weight, block.fc2_bias, W, 4 * W));
    }
    return normalized(device, x, w.norm_weight, w.norm_bias, W);
}

// Draws of every channel, given the kernel's own values for the channels before it, so that one draw on the
// edge of rounding does not spoil the comparison of those after it.
Draws expected_draws(const Level& level, const Batch& batch, const Integers& fed) {
    const Device device = level.device;
    const std::int64_t W = level.shape.width, C = level.shape.channels, draws = batch.draws;
    const Floats outputs = transformer(level, batch, fed);
    Draws expected{Integers(fed.size()), Floats(static_cast<std::size_t>(draws * C))};
    for (std::int64_t c = 0; c < C; ++c) {
        Floats logits(static_cast<std::size_t>(batch.rows() * vocabulary));
        RUN(device, linear_forward, logits, vocabulary, from(outputs, c * W), C * W,
            address(level.weights.codebooks[c]), address(level.weights.biases[c]), batch.rows(), vocabulary,
            W);
        Integers values(static_cast<std::size_t>(draws));
        const Floats unconditional(logits.begin() + draws * vocabulary * batch.guided(), logits.end());
        RUN(device, categorical_sample, values, from(expected.margins, c * draws), logits,
            batch.guided() ? &unconditional : nullptr, from(batch.uniforms, c * draws), draws, vocabulary,
            batch.guidance);
        for (std::int64_t row = 0; row < batch.rows(); ++row)
            expected.values[static_cast<std::size_t>(row * C + c)] =
                values[static_cast<std::size_t>(row % draws)];
    }
    return expected;
}

// Returns the share of draws whose margin left no doubt.
double compare(const Level& level, const Batch& batch) {
    const std::int64_t C = level.shape.channels, draws = batch.draws;
    const Draws actual = sample(level, batch);
    for (const std::int32_t value : actual.values) REQUIRE((value >= 0 && value < vocabulary));
    const Draws expected = expected_draws(level, batch, actual.values);
    double clear = 0, wrong_values = 0, worst_margin = 0;
    for (std::int64_t row = 0; row < batch.rows(); ++row)
        for (std::int64_t c = 0; c < C; ++c) {
            const auto margin = static_cast<std::size_t>(c * draws + row % draws),
                       value = static_cast<std::size_t>(row * C + c);
            if (expected.margins[margin] < 1e-4f) continue;
            clear += 1;
            if (actual.values[value] != expected.values[value]) wrong_values += 1;
            const double difference = std::abs(static_cast<double>(actual.margins[margin]) -
                                               static_cast<double>(expected.margins[margin]));
            worst_margin = std::max(worst_margin, std::isnan(difference) ? 1.0 : difference);
        }
    CHECK(wrong_values == 0);
    CHECK(worst_margin < 5e-5);
    return clear / static_cast<double>(batch.rows() * C);
}

const std::vector<Guidance> settings = {
    {1.03f, 1, 1e-4f, false}, {1, 1, 0, true}, {1.1f, 3, 1e-4f, false}, {1, 2.5f, 1e-4f, true}};

const std::vector<PixelSamplerShape> shapes = {{3, 12, 7, 1, 3},    {1, 12, 33, 3, 1}, {3, 20, 20, 3, 4},
                                               {3, 32, 1, 0, 2},    {1, 32, 64, 1, 2}, {3, 64, 128, 1, 4},
                                               {3, 128, 129, 3, 4}, {1, 7, 5, 1, 1},   {1, 128, 16, 0, 8}};

}  // namespace

DEVICE_TEST("the pixel sampler draws what the separate kernels draw") {
    for (const PixelSamplerShape& shape : shapes) {
        const Level level(device, shape);
        double clear = 0, runs = 0;
        for (const Guidance& guidance : settings)
            for (const std::int64_t draws : {1, 2, 5, 16, 33}) {
                CAPTURE(shape.width);
                CAPTURE(shape.blocks);
                CAPTURE(draws);
                CAPTURE(guidance.scale);
                CAPTURE(guidance.greedy);
                clear += compare(level, Batch(shape, draws, guidance));
                runs += 1;
            }
        CHECK(clear / runs > 0.9);
    }
}

DEVICE_TEST("a pixel drawn alone has the bits it has in a batch") {
    for (const PixelSamplerShape& shape : shapes)
        for (const Guidance& guidance : settings) {
            const std::int64_t draws = 21, C = shape.channels, K = shape.condition_width;
            const Level level(device, shape);
            const Batch batch(shape, draws, guidance);
            const Draws together = sample(level, batch);
            for (std::int64_t draw = 0; draw < draws; ++draw) {
                Batch single(shape, 1, guidance);
                for (std::int64_t half = 0; half < single.rows(); ++half)
                    std::copy_n(batch.conditions.data() + (half * draws + draw) * K, K,
                                single.conditions.data() + half * K);
                for (std::int64_t c = 0; c < C; ++c) single.uniforms[c] = batch.uniforms[c * draws + draw];
                const Draws alone = sample(level, single);
                for (std::int64_t c = 0; c < C; ++c) {
                    CHECK(alone.values[c] == together.values[draw * C + c]);
                    CHECK(alone.margins[c] == together.margins[c * draws + draw]);
                }
            }
        }
}

DEVICE_TEST("the number of threads changes no draw") {
    for (const PixelSamplerShape& shape : shapes)
        for (const Guidance& guidance : settings) {
            const Level level(device, shape);
            const Batch batch(shape, 33, guidance);
            CHECK(same_for_any_threads([&] {
                Draws draws = sample(level, batch);
                draws.margins.insert(draws.margins.end(), draws.values.begin(), draws.values.end());
                return draws.margins;
            }));
        }
}

DEVICE_TEST("pixels can be drawn without margins, and no pixels at all") {
    const PixelSamplerShape shape{3, 20, 12, 1, 2};
    const Level level(device, shape);
    const Batch batch(shape, 9, settings[2]);
    const Draws reference = sample(level, batch);
    Integers values(reference.values.size(), -1);
    RUN(device, pixel_sample, values, nullptr, batch.conditions, batch.uniforms, level.packed, shape,
        batch.draws, batch.guidance);
    CHECK(values == reference.values);
    RUN(device, pixel_sample, nullptr, nullptr, nullptr, nullptr, level.packed, shape, 0, batch.guidance);
}

DEVICE_TEST("the pixel sampler says which shapes fit on the stack, and draws the largest") {
    CHECK(cpu::pixel_sampler_fits({3, 128, 512, 3, 4}));
    CHECK_FALSE(cpu::pixel_sampler_fits({3, 512, 512, 5, 8}));
    CHECK_FALSE(cpu::pixel_sampler_fits({1, 4096, 512, 1, 16}));
    const PixelSamplerShape largest{3, 512, 8, 1, 2};
    REQUIRE(cpu::pixel_sampler_fits(largest));
    compare(Level(device, largest), Batch(largest, 9, settings[2]));
    std::int64_t blocks = 1;
    while (cpu::pixel_sampler_fits({3, 32, 8, blocks + 1, 2})) ++blocks;
    CHECK(blocks > 20);
    const PixelSamplerShape deepest{3, 32, 8, blocks, 2};
    compare(Level(device, deepest), Batch(deepest, 16, settings[0]));
}
