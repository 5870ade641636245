#include "models/nat/search/search_space.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "runtime/base/error.h"

TEST_CASE("search space: the order of x, to and from strategies") {
    const SearchSpace space(3);
    REQUIRE(space.size() == 10);
    CHECK(space.searched().size() == 10);
    CHECK(space.searched_names() == "ratios,remask_temperatures,sampling_temperatures,guidance_scales");
    const Strategy strategy{.ratios = {0.8, 0.3},
                            .remask_temperatures = {2, 1},
                            .sampling_temperatures = {1.5, 1.25, 0.5},
                            .guidance_scales = {0, -1, 3}};
    const std::vector<double> x = space.point(strategy);
    CHECK(x == std::vector<double>{0.8, 0.3, 2, 1, 1.5, 1.25, 0.5, 0, -1, 3});
    Strategy back = autonat_start(5);
    space.assign(x, back);
    CHECK(back == strategy);
    CHECK_THROWS_AS(space.point(autonat_start(4)), UsageError);
}

TEST_CASE("search space: groups that are searched alone") {
    const std::vector groups = parse_search_groups("guidance_scales,ratios");
    const SearchSpace space(3, groups);
    CHECK(space.size() == 10);
    CHECK(space.searched() == std::vector<std::size_t>{0, 1, 7, 8, 9});
    CHECK(space.searched_names() == "ratios,guidance_scales");
    CHECK(parse_search_groups("all").size() == 4);
    for (const char* wrong : {"", "ratio", "ratios,", ",ratios", "ratios,ratios", "ratios, guidance_scales"})
        CHECK_THROWS_AS(parse_search_groups(wrong), UsageError);
    CHECK_THROWS_AS(SearchSpace(1, parse_search_groups("ratios")), UsageError);
    CHECK(SearchSpace(1).size() == 2);
    CHECK_THROWS_AS(SearchSpace(0), UsageError);
}

TEST_CASE("search space: bounds") {
    const SearchSpace space(2);  // a ratio, a re-masking temperature, two of the others each
    CHECK(space.clamp(0, 1.5) == 0.99);
    CHECK(space.clamp(0, -1) == 0);
    CHECK(space.clamp_probe(0, 1.5) == 1);
    CHECK(space.clamp_probe(0, -1) == 0);
    for (std::size_t i = 1; i < space.size(); ++i) {
        CHECK(space.clamp(i, -1) == 1e-4);
        CHECK(space.clamp_probe(i, -1) == 1e-4);
        CHECK(space.clamp(i, 1e6) == 1e6);
    }
}

TEST_CASE("search space: AutoNAT's start") {
    const Strategy start = autonat_start(4);
    CHECK(start.ratios[1] == doctest::Approx(std::cos(std::numbers::pi / 4)));
    CHECK(start.remask_temperatures == std::vector<double>{1, 0.75, 0.5});
    CHECK(start.sampling_temperatures == std::vector<double>{1, 1, 1, 1});
    CHECK(start.guidance_scales == std::vector<double>{0.25, 0.5, 0.75, 1});
}
