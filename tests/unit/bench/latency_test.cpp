// Predicted jobs: their kernels keep to a budget, and their time follows from their work.
#include "tests/bench/latency.h"

#include <doctest/doctest.h>

#include "tests/bench/costs.h"

namespace {

std::int64_t kernels_of(const std::vector<std::int64_t>& iterations) {
    return predict("", 1,
                   [&](const Begin& begin) {
                       draw_fractals(fractal_preset("fractalmar_large_in256").config, iterations, 1, begin);
                   })
        .total()
        .kernels;
}

}  // namespace

// A picture of 64,16,16 iterations has 16,384 innermost ones, and each of its kernels waits for the one
// before.
TEST_CASE("budget: kernels of an iteration of each level of fractalmar_large_in256") {
    const std::int64_t base = kernels_of({2, 2, 2}), inner = kernels_of({2, 2, 3}) - base,
                       steps = 2 * 2;  // of level 1, each of which draws its patches at once
    CHECK(inner <= steps * 36);
    // With as many steps as in practice, few sequences at once, the innermost level is one kernel.
    const std::int64_t few = 64 * 16;
    CHECK(kernels_of({64, 16, 2}) - kernels_of({64, 16, 1}) <= few * 3);
    const std::int64_t level_0 = 2, middle = kernels_of({2, 3, 2}) - base;
    CHECK(middle / level_0 <= 144);
    CHECK(kernels_of({3, 2, 2}) - base <= 532);
}

TEST_CASE("budget: kernels of a step of autonat_l, and of its decoder") {
    const auto parts_of = [](std::int64_t steps) {
        return predict("", 1,
                       [&](const Begin& begin) {
                           draw_tokens(nat_preset("autonat_l").config, tokenizer_preset("vqgan_f16").config,
                                       steps, 1, begin);
                       })
            .parts;
    };
    const auto few = parts_of(2), more = parts_of(3);
    CHECK(more.at("steps").kernels - few.at("steps").kernels <= 274);
    CHECK(more.at("decoder").kernels == few.at("decoder").kernels);
    CHECK(few.at("decoder").kernels <= 151);
}

TEST_CASE("a launch takes the longest of its memory's, its products' and its kernels' time") {
    const auto cost_of = [](const char* kernel, std::vector<std::any> arguments, double bytes) {
        return launch_cost({kernel, arguments, bytes, {}});
    };
    const LaunchCost small = cost_of("layernorm_forward", {}, 1000);
    CHECK(small.kernels == 1);
    CHECK(small.seconds == doctest::Approx(1.2e-6));
    CHECK(cost_of("copy", {}, 1000).seconds == doctest::Approx(2e-6));
    CHECK(small.cost.bytes == 1000);
    CHECK(cost_of("layernorm_forward", {}, 4.3e9).seconds == doctest::Approx(1e-3));
    CHECK(cost_of("groupnorm_forward", {}, 1000).seconds == doctest::Approx(3.6e-6));

    const LinearShape shape{65536, 3072, 1024};
    const LaunchCost product = cost_of("linear_forward", {nullptr, shape.rows, shape.N, shape.K}, 1);
    CHECK(product.cost.operations == shape.operations());
    CHECK(product.cost.bytes == linear_cost(shape, 2, 2).bytes);
    CHECK(product.seconds == doctest::Approx(shape.operations() / 790e12));

    const auto tiny = [&](std::int64_t K) {
        return cost_of("linear_forward",
                       {ConstElementPointer(), ConstElementPointer(), std::int64_t{1}, std::int64_t{8}, K}, 0)
            .seconds;
    };
    CHECK(tiny(16) == doctest::Approx(2e-6));
    CHECK(tiny(3) == doctest::Approx(1.2e-6));

    const PixelSamplerShape pixels{
        .channels = 3, .width = 64, .condition_width = 256, .blocks = 1, .heads = 4};
    const auto sample = [&](const PixelSamplerShape& sampled, std::int64_t draws) {
        return cost_of("pixel_sample",
                       {nullptr, nullptr, nullptr, nullptr, nullptr, sampled, draws, Guidance{}, nullptr}, 0)
            .seconds;
    };
    CHECK(sample(pixels, 1) == doctest::Approx(2 * pixel_sample_weights(pixels) / 55e9));
    CHECK(sample(pixels, 8 * 132) == doctest::Approx(sample(pixels, 1)));
    CHECK(sample(pixels, 8 * 132 + 1) == doctest::Approx(2 * sample(pixels, 1)));
    // In clusters, as many as there are at once.
    const PixelSamplerShape wide{
        .channels = 3, .width = 128, .condition_width = 256, .blocks = 3, .heads = 4};
    CHECK(sample(wide, 1) > (1 + 3 * 14) * 0.4e-6);
    CHECK(sample(wide, 1) < pixel_sample_weights(wide) / 55e9);
    CHECK(sample(wide, 64) == doctest::Approx(sample(wide, 1)));
    CHECK(sample(wide, 65) == doctest::Approx(2 * pixel_sample_weights(wide) / 55e9));
    const auto level = [&](std::int64_t sequences) {
        const MarLevelShape mar_level{sequences, 16, 5, true, 256, 4, 4, 3, 5, 2 * sequences};
        return cost_of("mar_level_forward", {nullptr, mar_level}, 0).seconds;
    };
    CHECK(level(1) > 4 * 5 * 0.4e-6);
    CHECK(level(WorkCount::resident_clusters) == doctest::Approx(level(1)));
    CHECK(level(WorkCount::resident_clusters + 1) == doctest::Approx(2 * level(1)));
    CHECK_THROWS_AS(cost_of("attention_forward", {}, 0), std::logic_error);
}
