#include "models/nat/masks.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "runtime/tensor/random.h"
#include "tests/unit/chi_square.h"

namespace {

std::vector<std::int64_t> numbers(std::int64_t first, std::size_t count) {
    std::vector<std::int64_t> samples(count);
    std::iota(samples.begin(), samples.end(), first);
    return samples;
}

NatConfig tiny() {
    NatConfig config;
    config.img_size = 4;
    config.num_classes = 5;
    return config;
}

}  // namespace

TEST_CASE("random_beta has the moments of its distribution") {
    for (const auto& [alpha, beta] : {std::pair{12.0, 3.0}, {1.0, 1.0}, {0.5, 2.5}}) {
        CAPTURE(alpha);
        constexpr int count = 20000;
        double sum = 0, squares = 0;
        for (int i = 0; i < count; ++i) {
            const double x = random_beta(random_key(3, "beta"), alpha, beta, i, 7);
            REQUIRE(x >= 0);
            REQUIRE(x <= 1);
            sum += x;
            squares += x * x;
        }
        const double mean = alpha / (alpha + beta), n = alpha + beta,
                     variance = alpha * beta / (n * n * (n + 1)), measured = sum / count;
        CHECK(std::abs(measured - mean) < 4 * std::sqrt(variance / count));
        CHECK(squares / count - measured * measured == doctest::Approx(variance).epsilon(0.05));
    }
}

TEST_CASE("nat masks: each hides round(N ratio) places, at least one, and is the sample's own") {
    const NatConfig config = tiny();
    const MaskRule rule;
    const auto samples = numbers(100, 400);
    const NatMasks masks = draw_masks(config, rule, samples, 5, 9);
    CHECK(masks.hidden == std::ranges::count(masks.mask, 1));
    CHECK(masks.hidden == count_hidden(config, rule, samples, 5, 9));
    CHECK(static_cast<double>(masks.hidden) == doctest::Approx(400 * 16 * 0.8).epsilon(0.03));
    for (const std::size_t m : {0u, 1u, 399u}) {
        const NatMasks alone = draw_masks(config, rule, numbers(samples[m], 1), 5, 9);
        CHECK(
            std::equal(alone.mask.begin(), alone.mask.end(), masks.mask.begin() + 16 * static_cast<int>(m)));
    }
    CHECK(chi_square_of_masks(masks.mask, 16) < chi_square_limit(15));
    CHECK(draw_masks(config, rule, samples, 5, 10).mask != masks.mask);
    CHECK(draw_masks(config, rule, samples, 6, 9).mask != masks.mask);
    // Of cos(pi / 2 u) the mean is 2 / pi.
    CHECK(static_cast<double>(count_hidden(config, {.cosine = true}, numbers(0, 4000), 5, 9)) ==
          doctest::Approx(4000 * 16 * 2 / std::numbers::pi).epsilon(0.03));
    // A ratio of almost nothing still hides one token, a ratio of almost all hides them all.
    CHECK(count_hidden(config, {0.01, 1000}, samples, 5, 9) == 400);
    CHECK(count_hidden(config, {1e6, 0.01}, samples, 5, 9) == 400 * 16);
}

TEST_CASE("nat contexts: captions are drawn uniformly") {
    std::vector<int> drawn(5);
    for (std::int64_t sample = 0; sample < 5000; ++sample)
        ++drawn[static_cast<std::size_t>(drawn_caption({0, 1, 2}, sample, 5))];
    for (const int count : drawn) CHECK(count == doctest::Approx(1000).epsilon(0.12));
    CHECK(drawn_caption({0, 1, 2}, 7, 1) == 0);
}

TEST_CASE("nat contexts: a share of the classes is dropped, images without one have none") {
    const NatConfig config = tiny();
    std::vector<std::int32_t> labels(2000, 2);
    labels[0] = -1;
    const auto samples = numbers(0, labels.size());
    const auto contexts = draw_contexts(config, labels, samples, {0.15f, 1, 2});
    CHECK(contexts[0] == config.no_class());
    const auto dropped = std::ranges::count(contexts, config.no_class());
    CHECK(dropped == doctest::Approx(300).epsilon(0.2));
    CHECK(std::ranges::count(contexts, 2) == 2000 - dropped);
    CHECK(std::ranges::count(draw_contexts(config, labels, samples, {0, 1, 2}), 2) == 1999);
}
