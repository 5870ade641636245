#include "models/fractal/cost.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "models/fractal/fractal.h"
#include "runtime/base/error.h"
#include "runtime/ops/image_ops.h"

namespace {

using Kind = NetworkCost::Kind;

FractalConfig tiny() {
    return {{8, 4, 1}, {32, 16, 8}, {2, 3, 1}, {2, 2, 2}, {"ar", "ar", "ar"}, 1, false, 10, 3};
}

// Of 300 codes, both levels of one type.
FractalConfig tiny_codes(const std::string& type) {
    FractalConfig config = tiny();
    config.generator_type_list = {type, type, "ar"};
    config.channels = 1;
    config.vocabulary = 300;
    return config;
}

FractalCost cost_of(const FractalConfig& config, bool guided = false) {
    return fractal_cost(config, {recommended_iterations(config), guided});
}

FractalCost cost_of(const char* preset) {
    return cost_of(fractal_preset(preset).config);
}

double rounded_gflop(double operations) {
    return std::round(operations / 1e9);
}

// Peak of live bytes in a training step of `images` images, as planned.
double planned_bytes(const FractalConfig& config, std::int64_t images, const ChunkSizes& chunks) {
    const FractalModel model(config, Device::cpu);
    const auto rows = static_cast<std::int64_t>(config.generators()) + 1;
    const std::vector<float> scales(static_cast<std::size_t>(rows * config.channels), 1.0f);
    const std::vector<std::int32_t> ids(static_cast<std::size_t>(images));
    Tape tape(Device::cpu);
    tape.set_recording(true);
    const std::int64_t dims = config.channels * config.image_size() * config.image_size();
    const Plan plan = plan_job(tape, [&] {
        const Tensor pixels = tape.create(images, dims, false),
                     totals = tape.create(rows, config.channels, false, Element::f64);
        model.loss(tape, pixels, ids, {}, scales, totals, {}, chunks);
    });
    return static_cast<double>(plan.live_bytes);
}

// Multiply-adds of one linear layer for one token, by walking over its weight.
double products(std::int64_t outputs, std::int64_t inputs) {
    double count = 0;
    for (std::int64_t i = 0; i < outputs; ++i)
        for (std::int64_t j = 0; j < inputs; ++j) ++count;
    return count;
}

// The same of attention of one token over `seen` tokens: scores, then the weighted sum of values.
double attention_products(std::int64_t heads, std::int64_t head_dim, std::int64_t seen) {
    double count = 0;
    for (std::int64_t head = 0; head < heads; ++head)
        for (std::int64_t key = 0; key < seen; ++key) count += 2 * static_cast<double>(head_dim);
    return count;
}

}  // namespace

TEST_CASE("fractal cost: parameters are the model's") {
    FractalConfig grey = tiny(), two_levels = tiny(), wide = tiny();
    grey.channels = 1;
    grey.class_num = 0;
    two_levels.img_size_list = {8, 1};
    two_levels.embed_dim_list = {24, 16};
    two_levels.num_blocks_list = {2, 0};
    two_levels.num_heads_list = {2, 4};
    two_levels.generator_type_list = {"ar", "ar"};
    wide.embed_dim_list = {200, 100, 12};  // gated widths of 768 and 512
    FractalConfig mixed = tiny();
    mixed.generator_type_list = {"mar", "ar", "ar"};
    mixed.num_conds = 3;
    for (const FractalConfig& config :
         {tiny(), tiny_codes("ar"), tiny_codes("mar"), grey, two_levels, wide, mixed,
          fractal_preset("fractalar_16").config, fractal_preset("fractalmar_32").config,
          fractal_preset("fractalmar_base_in256").config})
        CHECK(cost_of(config).parameters() == FractalModel(config, Device::cpu).parameters().count());
}

TEST_CASE("fractal cost: parameters of the paper's models") {
    CHECK(cost_of("fractalar_in64").parameters() == 442'068'224);
    CHECK(cost_of("fractalmar_in64").parameters() == 431'995'648);
    CHECK(cost_of("fractalmar_base_in256").parameters() == 186'300'224);
    CHECK(cost_of("fractalmar_large_in256").parameters() == 437'000'064);
    CHECK(cost_of("fractalmar_huge_in256").parameters() == 849'586'240);
}

TEST_CASE("fractal cost: operations of the paper's models by the paper's count") {
    CHECK(rounded_gflop(cost_of("fractalmar_in64").sum(&NetworkCost::published_forward)) == 512);
    FractalConfig large = fractal_preset("fractalmar_large_in256").config;
    CHECK(rounded_gflop(cost_of(large).sum(&NetworkCost::published_forward)) == 1134);
    large.guiding_pixel = false;
    CHECK(rounded_gflop(cost_of(large).sum(&NetworkCost::published_forward)) == 1073);
}

TEST_CASE("fractal cost: attention at the finest level against attention over all pixels") {
    const FractalConfig config = fractal_preset("fractalmar_large_in256").config;
    const FractalCost cost = cost_of(config);
    const NetworkCost& finest = cost.networks[cost.networks.size() - 2];
    CHECK(finest.level == 2);
    CHECK(finest.kind == Kind::mar);
    CHECK(finest.attention_entries == 1'048'576);
    CHECK(full_attention_entries(config) == 4'294'967'296);
    CHECK(full_attention_entries(config) / finest.attention_entries == 4096);
}

TEST_CASE("fractal cost: operations of a tiny AR model, counted one by one") {
    const FractalConfig config = tiny();  // 4 patches of 4x4, 16 pixels each; gated widths of 256
    double expected[3] = {};
    for (int patch = 0; patch < 4; ++patch) {
        expected[0] += patch == 0 ? products(32, 32) : products(32, 3 * 4 * 4);
        for (int block = 0; block < 2; ++block)
            expected[0] += products(3 * 32, 32) + attention_products(2, 16, patch + 1) + products(32, 32) +
                           products(2 * 256, 32) + products(32, 256);
        for (int pixel = 0; pixel < 16; ++pixel) {
            expected[1] += pixel == 0 ? products(16, 32) : products(16, 3);
            for (int block = 0; block < 3; ++block)
                expected[1] += products(3 * 16, 16) + attention_products(2, 8, pixel + 1) + products(16, 16) +
                               products(2 * 256, 16) + products(16, 256);
            expected[2] += products(8, 16);
            for (int channel = 0; channel < 3; ++channel)
                expected[2] += products(3 * 8, 8) + attention_products(2, 4, channel + 1) + products(8, 8) +
                               products(4 * 8, 8) + products(8, 4 * 8) + products(256, 8);
        }
    }
    const FractalCost cost = cost_of(config), guided = cost_of(config, true);
    REQUIRE(cost.networks.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CAPTURE(i);
        CHECK(cost.networks[i].forward == 2 * expected[i]);
        CHECK(cost.networks[i].sampling ==
              2 * expected[i]);  // a cached step is one token of the forward pass
        CHECK(guided.networks[i].sampling == 4 * expected[i]);
    }
    // Backward costs twice the forward, but for pixels, which need no gradient.
    CHECK(cost.networks[0].training == 3 * 2 * expected[0] - 2 * 3 * products(32, 48));
    CHECK(cost.networks[2].training == 3 * 2 * expected[2]);
}

TEST_CASE("fractal cost: operations of a tiny model of codes, counted one by one") {
    const FractalConfig config = tiny_codes("ar");  // embeddings of width 8
    double expected[3] = {};
    for (int patch = 0; patch < 4; ++patch) {
        expected[0] += patch == 0 ? products(32, 32) : products(32, 4 * 4 * 8);
        for (int block = 0; block < 2; ++block)
            expected[0] += products(3 * 32, 32) + attention_products(2, 16, patch + 1) + products(32, 32) +
                           products(2 * 256, 32) + products(32, 256);
        for (int code = 0; code < 16; ++code) {
            expected[1] += code == 0 ? products(16, 32) : products(16, 8);
            for (int block = 0; block < 3; ++block)
                expected[1] += products(3 * 16, 16) + attention_products(2, 8, code + 1) + products(16, 16) +
                               products(2 * 256, 16) + products(16, 256);
            expected[2] += products(8, 16) + products(3 * 8, 8) + attention_products(2, 4, 1) +
                           products(8, 8) + products(4 * 8, 8) + products(8, 4 * 8) + products(300, 8);
        }
    }
    const FractalCost cost = cost_of(config);
    for (std::size_t i = 0; i < 3; ++i) {
        CAPTURE(i);
        CHECK(cost.networks[i].forward == 2 * expected[i]);
        CHECK(cost.networks[i].training == 3 * 2 * expected[i]);  // the codes' embeddings are learned
    }
}

TEST_CASE("fractal cost: operations of a MAR level with conditions and a guiding pixel, counted one by one") {
    FractalConfig config = tiny();
    config.generator_type_list = {"mar", "mar", "ar"};
    config.num_conds = 5;
    config.guiding_pixel = true;
    double guiding = 0, level = 0, prefix = 0, last_outputs = 0;
    for (int sequence = 0; sequence < 4; ++sequence) {
        guiding += products(128, 32);
        for (int channel = 0; channel < 3; ++channel) {
            guiding += products(256, 128);
            for (int block = 0; block < 3; ++block)
                guiding += products(3 * 128, 128) + attention_products(4, 32, channel + 1) +
                           products(128, 128) + products(4 * 128, 128) + products(128, 4 * 128);
        }
        for (int token = 0; token < 16 + 5 + 1; ++token) {
            const double projection = token < 16 || token == 21 ? products(16, 3) : products(16, 32);
            level += projection;
            if (token >= 16) prefix += projection;
            for (int block = 0; block < 3; ++block)
                level += products(3 * 16, 16) + attention_products(2, 8, 22) + products(16, 16) +
                         products(4 * 16, 16) + products(16, 4 * 16);
            last_outputs += products(16, 16) + products(4 * 16, 16) + products(16, 4 * 16);
        }
    }
    const FractalCost cost = fractal_cost(config, {{64, 7}, false});
    REQUIRE(cost.networks.size() == 4);
    CHECK(cost.networks[1].kind == Kind::guiding_pixel);
    CHECK(cost.networks[1].forward == 2 * guiding);
    CHECK(cost.networks[1].sampling == 2 * guiding);
    CHECK(cost.networks[2].forward == 2 * level);
    // Every step runs the whole sequence but the tokens in front of the patches, which are projected once, and the
    // last outputs, which are computed for the 16 patches alone.
    CHECK(cost.networks[2].sampling ==
          7 * 2 * (level - prefix - last_outputs) + 2 * prefix + 2 * last_outputs * 16 / (16 + 5 + 1));
    // Level 0 has 4 patches and 5 conditions, so takes no more than 4 of its 64 steps; each patch hands on 5 conditions.
    const double outer_row = 2 * (products(32, 32) + products(4 * 32, 32) + products(32, 4 * 32));
    const double outer_prefix = 2 * 5 * products(32, 32);
    CHECK(cost.networks[0].sampling == 4 * (cost.networks[0].forward - outer_prefix - (4 + 5) * outer_row) +
                                           outer_prefix + 4 * 5 * outer_row);
    // In a single step all tokens are fewer rows than those.
    CHECK(fractal_cost(config, {{1, 7}, false}).networks[0].sampling == cost.networks[0].forward);
    CHECK(cost.networks[2].training_sequences == expected_masked_patches(4));
    CHECK(cost.networks[3].training_sequences == expected_masked_patches(4) * expected_masked_patches(16));
}

TEST_CASE("fractal cost: masked patches in training, against drawn masks") {
    CHECK(expected_masked_patches(1) == doctest::Approx(1));
    std::mt19937_64 engine(7);
    std::normal_distribution<double> normal(1, 0.25);
    for (const std::int64_t tokens : {4, 16, 256}) {
        constexpr int draws = 400'000;
        double sum = 0;
        for (int i = 0; i < draws; ++i) {
            double ratio = normal(engine);
            while (ratio < 0 || ratio > 1) ratio = normal(engine);
            sum += std::ceil(static_cast<double>(tokens) * ratio);
        }
        // The ratio's deviation is 0.15, the mean's 0.15 / sqrt(draws).
        CHECK(std::abs(expected_masked_patches(tokens) - sum / draws) <
              6 * 0.16 * static_cast<double>(tokens) / std::sqrt(draws));
    }
}

TEST_CASE("fractal cost: a further block keeps the bytes on the tape that the formula says") {
    const FractalConfig config{{16, 4, 1}, {64, 32, 32}, {2, 2, 1}, {4, 2, 2}, {"ar", "ar", "ar"},
                               1,          false,        10,        3};
    const ChunkSizes chunks{4, 16, 64};
    const double before = planned_bytes(config, 4, chunks);
    for (std::size_t level = 0; level < 3; ++level) {
        CAPTURE(level);
        FractalConfig deeper = config;
        ++deeper.num_blocks_list[level];
        const std::size_t network = level;
        const double more = cost_of(deeper).networks[network].activation_bytes -
                            cost_of(config).networks[network].activation_bytes;
        CHECK(planned_bytes(deeper, 4, chunks) - before ==
              doctest::Approx(static_cast<double>(chunks[level]) * more).epsilon(1e-9));
    }
}

TEST_CASE("fractal cost: memory of a training step is close to the plan's") {
    for (const char* preset : {"fractalar_16", "fractalar_codes_8", "fractalmar_codes_8"}) {
        CAPTURE(preset);
        const FractalConfig config = fractal_preset(preset).config;
        const ChunkSizes chunks = FractalModel(config, Device::cpu).default_chunks();
        const MemoryCost memory = memory_cost(cost_of(config), 32, 32, chunks);
        const double planned = planned_bytes(config, 32, chunks);
        CHECK(memory.activations < planned);
        CHECK(memory.activations > 0.8 * planned);
    }
    const FractalConfig config = fractal_preset("fractalar_16").config;
    const MemoryCost memory =
        memory_cost(cost_of(config), 32, 32, FractalModel(config, Device::cpu).default_chunks());
    CHECK(memory.moments == 2 * memory.weights);
    CHECK(memory.weights == 4.0 * static_cast<double>(cost_of(config).parameters()));
    // Keys and values: 4 blocks of width 160 with 64 tokens, 2 of 64 with 4.
    CHECK(memory.caches == 32.0 * 2 * 4 * (4 * 64 * 160 + 2 * 4 * 64));
}

TEST_CASE("fractal cost: wrong numbers of steps and guidance without classes are refused") {
    FractalConfig config = tiny();
    CHECK_THROWS_WITH_AS(fractal_cost(config, {{64}, false}),
                         "--iters: 1 numbers, expected one per level above the pixels, 2", UsageError);
    CHECK_THROWS_AS(fractal_cost(config, {{64, 0}, false}), UsageError);
    config.class_num = 0;
    CHECK_THROWS_AS(cost_of(config, true), UsageError);
    CHECK_NOTHROW(cost_of(config));
}
