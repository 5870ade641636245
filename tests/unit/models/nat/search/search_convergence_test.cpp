// Whether the methods arrive, and within how many evaluations: 8 steps, 30 numbers, from AutoNAT's start.
#include <doctest/doctest.h>

#include <algorithm>

#include "models/nat/search/search_methods.h"
#include "tests/unit/models/nat/search/search_run.h"

namespace {

struct Goal {
    const char* method;
    double share;              // of the start's distance in F that may remain
    std::int64_t evaluations;  // until then
};

// For three seeds.
void check_arrival(const Goal& goal, const Point& optimum, double deviation) {
    const SearchSpace space(8);
    const Strategy start = autonat_start(8);
    Point best = optimum;  // within the bounds: each coordinate contributes by itself
    for (std::size_t i = 0; i < best.size(); ++i) best[i] = space.clamp(i, best[i]);
    const double lowest = quadratic(space, best, optimum);
    const double distance = quadratic(space, space.point(start), optimum) - lowest;
    for (const std::uint64_t seed : {1, 2, 3}) {
        SearchSettings settings{.updates = 100'000, .finite_differences = {}, .spsa = {}, .cma_es = {}};
        settings.spsa.seed = settings.cma_es.seed = seed;
        const auto method = make_search_method(goal.method, space, start, settings);
        const Objective objective = [&](const Point& x, std::int64_t update) {
            return quadratic(space, x, optimum) + (deviation > 0 ? noise_of(x, update, deviation) : 0);
        };
        run(*method, objective, goal.evaluations);
        const double left = (quadratic(space, method->iterate(), optimum) - lowest) / distance;
        CAPTURE(std::string(goal.method));
        CAPTURE(seed);
        CHECK(left < goal.share);
    }
}

// The published strategy, inside all bounds.
Point inner_point() {
    Point x = released_point();
    for (double& value : x) value = std::max(value, 0.35);
    return x;
}

// Six coordinates beyond a bound, towards which F falls all the way.
Point outer_point() {
    Point x = inner_point();
    x[0] = 1.04;
    x[6] = -0.05;
    x[9] = x[16] = x[22] = x[29] = -0.3;
    return x;
}

}  // namespace

TEST_CASE("search: SPSA and CMA-ES reach the optimum of a quadratic") {
    check_arrival({"spsa", 0.04, 1500}, inner_point(), 0);
    check_arrival({"cma_es", 0.05, 900}, inner_point(), 0);
    check_arrival({"cma_es", 1e-5, 3000}, inner_point(), 0);
}

TEST_CASE("search: SPSA and CMA-ES reach an optimum on bounds") {
    check_arrival({"spsa", 0.05, 1500}, outer_point(), 0);
    check_arrival({"cma_es", 0.05, 900}, outer_point(), 0);
    check_arrival({"cma_es", 1e-5, 3000}, outer_point(), 0);
}

TEST_CASE("search: noise that the points of an update share does not matter, their own little") {
    // F falls by 238; the shared noise is 1000, the points' own 5.
    check_arrival({"spsa", 0.1, 900}, outer_point(), 5);
    check_arrival({"cma_es", 0.1, 900}, outer_point(), 5);
}
