#include "models/nat/strategy_heuristics.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "models/nat/halton_order.h"
#include "models/nat/strategy_steps.h"
#include "runtime/base/error.h"

namespace {

using Counts = std::vector<std::int64_t>;

std::string refusal(std::string_view name, std::int64_t steps = 4, double scale = 1) {
    try {
        named_strategy(name, steps, scale);
    } catch (const UsageError& error) {
        return error.what();
    }
    return "accepted";
}

// Approximately the same.
bool near(const std::vector<double>& actual, const std::vector<double>& expected) {
    return std::ranges::equal(actual, expected,
                              [](double x, double y) { return std::abs(x - y) < 1e-12 * (1 + std::abs(y)); });
}

const std::vector<double> cosines{std::cos(std::numbers::pi / 8), std::numbers::sqrt2 / 2,
                                  std::cos(3 * std::numbers::pi / 8)};

}  // namespace

TEST_CASE("strategy: cosine, also called maskgit") {
    const Strategy strategy = named_strategy("cosine", 4, 2);
    CHECK(near(strategy.ratios, cosines));
    CHECK(near(strategy.remask_temperatures, {4.5 * 0.75, 4.5 * 0.5, 4.5 * 0.25}));
    CHECK(strategy.sampling_temperatures == std::vector<double>{1, 1, 1, 1});
    CHECK(strategy.guidance_scales == std::vector<double>{0.5, 1, 1.5, 2});
    CHECK(strategy ==
          Strategy{strategy.ratios, strategy.remask_temperatures, {1, 1, 1, 1}, {0.5, 1, 1.5, 2}});
    CHECK(named_strategy("maskgit", 4, 2) == strategy);
    CHECK(near(named_strategy("cosine", 4, 2, 2).remask_temperatures, {1.5, 1, 0.5}));
    CHECK(near(named_strategy("muse", 4, 2, 2).sampling_temperatures, {1.5, 1, 0.5, 0}));
    for (const char* name : {"cosine", "muse", "enat", "halton", "fixed:0.5"})
        CHECK(has_temperature(name) == (named_strategy(name, 4, 2, 2) != named_strategy(name, 4, 2)));
    CHECK(strategy.guided());
    CHECK(!named_strategy("cosine", 3, 0).guided());
}

TEST_CASE("strategy: muse, enat, halton, and one ratio in all steps") {
    const Strategy muse = named_strategy("muse", 4, 8);
    CHECK(near(muse.ratios, cosines));
    CHECK(near(muse.remask_temperatures, {3.375, 2.25, 1.125}));
    CHECK(near(muse.sampling_temperatures, {3.375, 2.25, 1.125, 0}));
    CHECK(muse.guidance_scales == std::vector<double>{0, 2, 4, 6});
    CHECK(muse.confidence == Confidence::logit);

    const Strategy enat = named_strategy("enat", 4, 2.5);
    CHECK(near(enat.ratios, cosines));
    CHECK(near(enat.remask_temperatures, {1.125, 0.75, 0.375}));
    CHECK(near(enat.sampling_temperatures, {4.5, 3, 1.5, 1e-3}));
    CHECK(near(enat.guidance_scales, {0, 0.625, 1.25, 1.875}));
    CHECK(enat.counts == CountRule::exact);

    const Strategy halton = named_strategy("halton", 4, 1.5);
    CHECK(near(halton.ratios,
               {std::acos(0.25) * 2 / std::numbers::pi, 2.0 / 3, std::acos(0.75) * 2 / std::numbers::pi}));
    CHECK(halton.remask_temperatures == std::vector<double>{0, 0, 0});
    CHECK(halton.sampling_temperatures == std::vector<double>{1, 1, 1, 1});
    CHECK(halton.guidance_scales == std::vector<double>{1.5, 1.5, 1.5, 1.5});
    CHECK(halton.order == TokenOrder::halton);

    Strategy half = named_strategy("cosine", 4, 2);
    half.ratios = {0.5, 0.5, 0.5};
    CHECK(named_strategy("fixed:0.5", 4, 2) == half);
}

TEST_CASE("strategy: every name is valid for any number of steps, and the same when it is read again") {
    for (const char* name : {"cosine", "maskgit", "muse", "enat", "halton", "fixed:0", "fixed:0.75"})
        for (const std::int64_t steps :
             {std::int64_t{1}, std::int64_t{2}, std::int64_t{12}, max_decoding_steps}) {
            const Strategy strategy = named_strategy(name, steps, 3.7);
            strategy.validate(name);
            CHECK(strategy.steps() == steps);
            CHECK(parse_strategy(to_json(strategy), "s.json") == strategy);
            const Counts fixed = fixed_tokens(strategy, 4096);
            CHECK(std::accumulate(fixed.begin(), fixed.end(), std::int64_t{0}) == 4096);
            const bool may_fix_none = strategy.counts == CountRule::exact || name[0] == 'f';
            CHECK(*std::ranges::min_element(fixed) >= (may_fix_none ? 0 : 1));
        }
}

TEST_CASE("strategy: tokens fixed in each step") {
    CHECK(fixed_tokens(named_strategy("cosine", 8, 1), 256) == Counts{5, 15, 24, 31, 39, 45, 48, 49});
    CHECK(fixed_tokens(read_strategy("models/nat/autonat_l_8.json"), 256) ==
          Counts{12, 19, 22, 13, 30, 56, 38, 66});
    CHECK(fixed_tokens(named_strategy("cosine", 1, 1), 256) == Counts{256});
    CHECK(fixed_tokens(named_strategy("fixed:0.5", 4, 1), 16) == Counts{8, 1, 1, 6});
    CHECK(fixed_tokens(named_strategy("cosine", 6, 1), 4) == Counts{1, 1, 1, 0, 0, 1});
    // The cosine falls slower than a token a step at first; ENAT then fixes none.
    CHECK(fixed_tokens(named_strategy("cosine", 32, 1), 64)[1] == 1);
    CHECK(fixed_tokens(named_strategy("enat", 32, 1), 64)[1] == 0);
    CHECK(fixed_tokens(
              Strategy{{0.9, 0, 0.5}, {0, 0, 0}, {1, 1, 1, 1}, {0, 0, 0, 0}, {}, {}, CountRule::exact}, 16) ==
          Counts{2, 14, 0, 0});
}

TEST_CASE("strategy: Halton's counts are the scheduler's on any grid") {
    // At least one token a step is a bound on their sum there, on each step here; the counts are the same.
    for (std::int64_t side = 1; side <= 24; ++side)
        for (std::int64_t T = 1; T <= side * side; ++T) {
            const auto N = static_cast<double>(side * side);
            const Counts fixed = fixed_tokens(named_strategy("halton", T, 0), side * side);
            std::int64_t known = 0;
            bool same = true;
            for (std::int64_t t = 0; t < T; ++t) {
                const double angle = std::acos(static_cast<double>(t + 1) / static_cast<double>(T));
                std::int64_t next = std::max(
                    t + 1, static_cast<std::int64_t>(std::floor(N * (1 - angle / (std::numbers::pi / 2)))));
                if (t + 1 == T) next = side * side;
                same = same && fixed[static_cast<std::size_t>(t)] == next - known;
                known = next;
            }
            CHECK_MESSAGE(same, side, " ", T);
        }
}

TEST_CASE("strategy: the Halton order of any grid has every cell once") {
    for (const std::int64_t side : {1, 2, 3, 5, 7, 24, 33, 90}) {
        HaltonOrder order = halton_order(side);
        const std::vector<std::int32_t> ranks = halton_ranks(side);
        bool inverse = true;
        for (std::size_t i = 0; i < order.cells.size(); ++i)
            inverse =
                inverse && ranks[static_cast<std::size_t>(order.cells[i])] == static_cast<std::int32_t>(i);
        CHECK(inverse);
        std::ranges::sort(order.cells);
        std::vector<std::int32_t> all(static_cast<std::size_t>(side * side));
        std::iota(all.begin(), all.end(), 0);
        CHECK(order.cells == all);
        CHECK(order.points >= side * side);
    }
}

TEST_CASE("strategy: unknown names, ratios and numbers of steps are refused in one line") {
    const std::string names = ": not known, expected cosine, muse, enat, halton or fixed:RATIO";
    CHECK(refusal("consine") == "strategy consine" + names + "; did you mean cosine?");
    CHECK(refusal("haltn") == "strategy haltn" + names + "; did you mean halton?");
    CHECK(refusal("fixed") == "strategy fixed" + names + "; did you mean fixed:?");
    CHECK(refusal("autonat") == "strategy autonat" + names);
    CHECK(refusal("") == "strategy " + names);
    for (const char* ratio : {"", "1", "-0.5", "nan", "inf", "0.5x", " 0.5", "1e999", "0x1"})
        CHECK(refusal("fixed:" + std::string(ratio)) ==
              "strategy fixed:" + std::string(ratio) +
                  ": expected a ratio from 0 to below 1, as in fixed:0.5");
    CHECK(refusal("cosine", 0) == "0 steps, expected 1 to 4096");
    CHECK(refusal("halton", 4097) == "4097 steps, expected 1 to 4096");
    CHECK(refusal("muse", 4, INFINITY) == "a guidance scale of inf, expected a finite number");
    CHECK_THROWS_WITH_AS(require_tokens(named_strategy("enat", 65, 1), 64, "--steps"),
                         "--steps: 65 steps, expected at most one for each of the 64 tokens", UsageError);
    require_tokens(named_strategy("enat", 64, 1), 64, "--steps");
}
