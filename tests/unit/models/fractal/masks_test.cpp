#include "models/fractal/masks.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <stdexcept>

#include "tests/unit/chi_square.h"

namespace {

FractalConfig mar_model() {
    return {{32, 8, 4, 1},
            {16, 16, 16, 16},
            {1, 1, 1, 1},
            {2, 2, 2, 2},
            {"mar", "ar", "mar", "ar"},
            5,
            false,
            0,
            3};
}

std::vector<std::int64_t> numbers(std::int64_t first, std::int64_t count) {
    std::vector<std::int64_t> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), first);
    return all;
}

std::int64_t masked(std::span<const std::uint8_t> mask) {
    return std::count(mask.begin(), mask.end(), std::uint8_t{1});
}

}  // namespace

TEST_CASE("masks: selections, sequence_ids and counts of all levels belong together") {
    const FractalConfig config = mar_model();
    const FractalMasks masks = training_masks(config, numbers(40, 9), 1, 3);
    CHECK(masks.sequences(0) == 9);
    CHECK(masks.sequences(1) == masked(masks.level(0).mask));
    CHECK(masks.sequences(2) == 4 * masks.sequences(1));  // an AR level passes on all of its patches
    CHECK(masks.sequences(3) == masked(masks.level(2).mask));
    for (std::size_t level = 0; level < config.generators(); ++level) {
        const LevelMasks& part = masks.level(level);
        CHECK(static_cast<std::int64_t>(part.sequence_ids.size()) == masks.sequences(level));
        if (!config.is_mar(level)) {
            CHECK(part.mask.empty());
            continue;
        }
        const std::int64_t L = config.tokens(level);
        CHECK(std::ranges::is_sorted(part.selected));
        CHECK(masked(part.mask) == static_cast<std::int64_t>(part.selected.size()));
        for (const std::int32_t index : part.selected) CHECK(part.mask[static_cast<std::size_t>(index)] == 1);
        for (std::size_t m = 0; m < part.sequence_ids.size(); ++m) {
            const auto begin = part.starts[m], end = part.starts[m + 1];
            CHECK(end > begin);
            CHECK(part.selected[static_cast<std::size_t>(begin)] / L == static_cast<std::int64_t>(m));
            CHECK(part.selected[static_cast<std::size_t>(end - 1)] / L == static_cast<std::int64_t>(m));
        }
    }
    for (std::size_t k = 0; k < masks.level(1).sequence_ids.size(); ++k) {
        const std::int64_t index = masks.level(0).selected[k], L = config.tokens(0);
        CHECK(masks.level(1).sequence_ids[k] ==
              masks.level(0).sequence_ids[static_cast<std::size_t>(index / L)] * L + index % L);
    }
}

TEST_CASE("masks: the sequences of others' samples are counted without their masks") {
    FractalConfig config = mar_model();
    for (const std::vector<std::string>& types :
         std::vector<std::vector<std::string>>{{"mar", "ar", "mar", "ar"},
                                               {"mar", "mar", "ar", "ar"},
                                               {"ar", "mar", "ar", "ar"},
                                               {"mar", "ar", "ar", "ar"},
                                               {"mar", "mar", "mar", "ar"},
                                               {"ar", "ar", "ar", "ar"}}) {
        config.generator_type_list = types;
        for (const std::uint32_t step : {0u, 7u}) {
            const auto counted = training_sequences(config, numbers(40, 9), 1, step);
            const FractalMasks masks = training_masks(config, numbers(40, 9), 1, step);
            CHECK(std::ranges::equal(counted, masks.sequences()));
        }
    }
}

TEST_CASE("masks: a sample's masks depend on its number, the seed and the step alone") {
    const FractalConfig config = mar_model();
    const FractalMasks together = training_masks(config, numbers(40, 9), 1, 3),
                       alone = training_masks(config, numbers(44, 1), 1, 3);
    const std::vector<std::uint8_t>& all = together.level(0).mask;
    CHECK(std::equal(alone.level(0).mask.begin(), alone.level(0).mask.end(), all.begin() + 4 * 16));
    const auto first = together.level(0).starts[4];
    for (std::size_t k = 0; k < alone.level(1).sequence_ids.size(); ++k)
        CHECK(alone.level(1).sequence_ids[k] ==
              together.level(1).sequence_ids[static_cast<std::size_t>(first) + k]);
    CHECK(training_masks(config, numbers(40, 9), 1, 3).level(2).mask == together.level(2).mask);
    CHECK(training_masks(config, numbers(40, 9), 2, 3).level(0).mask != all);
    CHECK(training_masks(config, numbers(40, 9), 1, 4).level(0).mask != all);
}

TEST_CASE("masks: training ratios follow the truncated normal, places are uniform") {
    FractalConfig config{{32, 1}, {16, 16}, {1, 1}, {2, 2}, {"mar", "ar"}, 1, false, 0, 3};
    constexpr std::int64_t count = 2000, L = 1024;
    const FractalMasks masks = training_masks(config, numbers(0, count), 7, 0);
    double mean = 0, square = 0;
    std::int64_t below_half = 0;
    for (std::int64_t m = 0; m < count; ++m) {
        const std::span<const std::uint8_t> mask(masks.level(0).mask.data() + m * L, L);
        const double ratio = static_cast<double>(masked(mask)) / L;
        mean += ratio / count;
        square += ratio * ratio / count;
        if (ratio < 0.5) ++below_half;
    }
    // 1 - 0.25 |z|: mean 1 - 0.25 sqrt(2 / pi), deviation 0.25 sqrt(1 - 2 / pi), P(|z| > 2) = 0.0455; each
    // within 3.3 standard errors (a significance of 0.001; the deviation's is 1.9 % of it), the mean with
    // half of the rounding to counts besides.
    const double deviation = 0.25 * std::sqrt(1 - 2 / M_PI);
    CHECK(std::abs(mean - (1 - 0.25 * std::sqrt(2 / M_PI))) < 3.3 * deviation / std::sqrt(count) + 0.5 / L);
    CHECK(std::abs(std::sqrt(square - mean * mean) - deviation) < 3.3 * 0.019 * deviation);
    CHECK(std::abs(static_cast<double>(below_half) / count - 0.0455) <
          3.3 * std::sqrt(0.0455 * 0.9545 / count));
    CHECK(chi_square_of_masks(masks.level(0).mask, L) < chi_square_limit(L - 1));
}

TEST_CASE("masks: the likelihood draws one count per level and pass, every count alike") {
    FractalConfig config{{8, 2, 1}, {16, 16, 16}, {1, 1, 1}, {2, 2, 2}, {"mar", "mar", "ar"}, 1, false, 0, 3};
    std::vector<std::int64_t> histogram(17);
    for (std::uint32_t pass = 0; pass < 3200; ++pass) {
        const FractalMasks masks = evaluation_masks(config, numbers(0, 3), 1, pass, 5);
        const std::span<const std::uint8_t> all(masks.level(0).mask);
        std::set<std::int64_t> counts;
        for (std::size_t m = 0; m < 3; ++m) counts.insert(masked(all.subspan(m * 16, 16)));
        REQUIRE(counts.size() == 1);
        ++histogram[static_cast<std::size_t>(*counts.begin())];
    }
    CHECK(histogram[0] == 0);
    CHECK(chi_square_of_equal(std::span(histogram).subspan(1)) < chi_square_limit(15));
    CHECK(evaluation_masks(config, numbers(0, 3), 1, 0, 5).level(0).mask !=
          evaluation_masks(config, numbers(0, 3), 1, 0, 6).level(0).mask);
}

TEST_CASE("masks: a mask that hides nothing is refused") {
    CHECK_THROWS_AS(
        FractalMasks(mar_model(), numbers(0, 1), [](std::size_t, std::int64_t, std::span<std::uint8_t>) {}),
        std::logic_error);
}
