#include "models/metrics/parallel_blocks.h"

#include <doctest/doctest.h>

#include <stdexcept>
#include <vector>

TEST_CASE("blocks: each once, progress up to 1") {
    std::vector<int> done(1000);
    std::vector<double> shares;
    const MetricProgress progress = [&](double share) { shares.push_back(share); };
    for_each_block(1000, progress, [&](std::int64_t block) { ++done[static_cast<std::size_t>(block)]; });
    CHECK(done == std::vector<int>(1000, 1));
    REQUIRE(shares.size() > 1);
    for (std::size_t i = 1; i < shares.size(); ++i) CHECK(shares[i] > shares[i - 1]);
    CHECK(shares.back() == doctest::Approx(1));
    part_of(progress, 0.5, 0.75)(0.5);
    CHECK(shares.back() == doctest::Approx(0.625));
    CHECK_FALSE(part_of({}, 0, 1));
    for_each_block(0, progress, [](std::int64_t) { FAIL("no block to compute"); });
    CHECK(blocks_of(10, 4) == 3);
    CHECK(blocks_of(8, 4) == 2);
    CHECK_THROWS_AS(blocks_of(8, 0), std::logic_error);
}

TEST_CASE("blocks: exceptions of a block and of the progress end the work") {
    const auto throwing = [](std::int64_t block) {
        if (block == 7) throw std::out_of_range("7");
    };
    CHECK_THROWS_AS(for_each_block(20, {}, throwing), std::out_of_range);
    std::vector<int> done(1'000'000);
    const MetricProgress interrupted = [](double) { throw std::runtime_error("interrupted"); };
    CHECK_THROWS_AS(for_each_block(1'000'000, interrupted,
                                   [&](std::int64_t block) { done[static_cast<std::size_t>(block)] = 1; }),
                    std::runtime_error);
    CHECK(done.front() == 1);
    CHECK(done.back() == 0);
}
