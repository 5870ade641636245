// The methods' formulas, where no golden reaches.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "models/nat/search/search_methods.h"
#include "tests/unit/models/nat/search/search_run.h"

namespace {

// Of two steps: a ratio, a re-masking temperature, two sampling temperatures, two guidance scales.
Strategy start_at_bounds() {
    return {.ratios = {0.993},
            .remask_temperatures = {0.5},
            .sampling_temperatures = {1, 0},
            .guidance_scales = {-0.5, 2}};
}

}  // namespace

TEST_CASE("finite differences: the difference after clamping divides, gradients are clamped on both sides") {
    const Point slopes{8, -30, 0.25, -0.25, -8, 30}, start{0.993, 0.5, 1, 0, -0.5, 2};
    const Objective linear = [&](const Point& x, std::int64_t) {
        double sum = 0;
        for (std::size_t i = 0; i < x.size(); ++i) sum += slopes[i] * x[i];
        return sum;
    };
    FiniteDifferenceSettings settings;
    settings.gradient_clamp = 10;
    FiniteDifferences method(SearchSpace(2), start_at_bounds(), 10, settings);
    const auto points = method.ask();
    REQUIRE(points.size() == 7);
    CHECK(points[0].x == start);
    CHECK(points[1].x[0] == 1);     // and not 1.003
    CHECK(points[5].x[4] == 1e-4);  // and not -0.4
    CHECK(points[4].x[3] == doctest::Approx(0.1));
    method.tell(objectives_of(method, linear));
    const Point clamped{8, -10, 0.25, -0.25, -8, 10};
    const auto check = [&](const Point& from, double velocity) {
        for (std::size_t i = 0; i < from.size(); ++i) {
            const double moved = from[i] - (i == 0 ? 1e-3 : 0.1) * velocity * clamped[i];
            const double expected = i == 0 ? std::min(moved, 0.99) : std::max(moved, 1e-4);
            CHECK(method.iterate()[i] == doctest::Approx(expected).epsilon(1e-9));
        }
    };
    check(start, 1);
    const Point second = method.iterate();
    method.tell(objectives_of(method, linear));
    check(second, 1.5);
}

TEST_CASE("CMA-ES: the smooth map into the bounds is continuous, and its inverse finds the start") {
    const double margins[] = {1e-4, 0.02, 0.3001, 0.9};  // of the lower bound, inside it, its end, beyond
    for (const double value : margins)
        for (const double ratio : {0.0, 0.01, 0.05, 0.5, 0.94, 0.97, 0.99}) {
            const Strategy start{.ratios = {ratio},
                                 .remask_temperatures = {value},
                                 .sampling_temperatures = {value, 1},
                                 .guidance_scales = {1, value}};
            const SearchSpace space(2);
            const Point x0 = space.point(start);
            CmaSettings settings;
            settings.sigma = 1e-6;
            const CmaEs method(space, start, 10, settings);
            for (const SearchPoint& point : method.ask())
                for (std::size_t i = 0; i < x0.size(); ++i) CHECK(std::abs(point.x[i] - x0[i]) < 1e-5);
        }
}

TEST_CASE("CMA-ES: first deviations are the scales") {
    const SearchSpace space(8);
    Strategy start = autonat_start(8);
    for (double& ratio : start.ratios) ratio = 0.5;  // far from bounds
    for (auto* list : {&start.remask_temperatures, &start.sampling_temperatures, &start.guidance_scales})
        for (double& value : *list) value = 5;
    CmaSettings settings;
    settings.population = 2000;
    const CmaEs method(space, start, 10, settings);
    const auto points = method.ask();
    REQUIRE(points.size() == 2001);
    CHECK(CmaEs(space, start, 10).population() == 14);
    for (std::size_t i = 0; i < space.size(); ++i) {
        double sum = 0;
        for (const SearchPoint& point : points)
            sum += (point.x[i] - points[0].x[i]) * (point.x[i] - points[0].x[i]);
        CHECK(std::sqrt(sum / 2000) == doctest::Approx(space.is_ratio(i) ? 0.05 : 0.3).epsilon(0.06));
    }
}

TEST_CASE("SPSA: both points of a pair lie a scale away on opposite sides; the first move is half a scale") {
    const SearchSpace space(8);
    Strategy start = autonat_start(8);
    for (double& value : start.guidance_scales) value = 5;
    Spsa method(space, start, 10);
    const Point x0 = method.iterate();
    const auto points = method.ask();
    REQUIRE(points.size() == 21);  // the iterate, ten pairs
    int positive = 0;
    for (std::size_t n = 1; n < points.size(); n += 2)
        for (const std::size_t i : {8u, 16u, 25u}) {  // far from bounds
            const double plus = points[n].x[i] - x0[i], minus = points[n + 1].x[i] - x0[i];
            CHECK(plus == doctest::Approx(-minus));
            CHECK(std::abs(plus) == doctest::Approx(0.3));
            positive += plus > 0 ? 1 : 0;
        }
    CHECK(positive > 5);
    CHECK(positive < 25);
    CHECK_FALSE(method.learning_rates().has_value());
    // Along one coordinate every pair shows its slope, whose length the gain is calibrated by.
    method.tell(objectives_of(method, [](const Point& x, std::int64_t) { return 40 * x[25]; }));
    CHECK(method.iterate()[25] == doctest::Approx(5 - 0.5 * 0.3));
    CHECK(method.learning_rates()->others / method.learning_rates()->ratios == doctest::Approx(36));
    CHECK(method.ask().size() == 2);
    CHECK_THROWS_AS(Spsa(space, start, 10).tell(std::vector<double>(21, 3)), std::runtime_error);
}
