// What holds of every search method.
#include "models/nat/search/search_method.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "models/nat/search/search_methods.h"
#include "runtime/base/error.h"
#include "tests/unit/models/nat/search/search_run.h"

namespace {

constexpr const char* names[] = {"finite_differences", "spsa", "cma_es"};

SearchSettings of_seed(std::uint64_t seed, std::int64_t updates = 1000) {
    SearchSettings settings;
    settings.updates = updates;
    settings.spsa.seed = settings.cma_es.seed = seed;
    return settings;
}

std::unique_ptr<SearchMethod> make(const char* name, const SearchSettings& settings = of_seed(7),
                                   const char* groups = "all", std::int64_t steps = 8) {
    return make_search_method(name, SearchSpace(steps, parse_search_groups(groups)), autonat_start(steps),
                              settings);
}

double smooth(const Point& x, std::int64_t update) {
    double sum = static_cast<double>(update) / 3;
    for (std::size_t i = 0; i < x.size(); ++i) sum += std::pow(x[i] - 0.7, 2) / static_cast<double>(i + 1);
    return sum;
}

// Text with `before` once replaced by `after`.
std::string replaced(std::string text, const std::string& before, const std::string& after) {
    const std::size_t at = text.find(before);
    REQUIRE(at != std::string::npos);
    return text.replace(at, before.size(), after);
}

}  // namespace

TEST_CASE("search methods: a restored search continues to the same bits") {
    for (const char* name : names) {
        CAPTURE(name);
        const auto whole = make(name);
        std::string states;
        for (int update = 0; update < 12; ++update) {
            whole->tell(objectives_of(*whole, smooth));
            states += whole->state();
        }
        for (const int killed : {0, 1, 7}) {
            auto method = make(name);
            std::string again;
            for (int update = 0; update < 12; ++update) {
                if (update == killed) {
                    const std::string state = method->state();
                    method->ask();  // whose evaluations are lost
                    method = make(name);
                    method->restore(state, "state");
                    CHECK(method->state() == state);
                }
                method->tell(objectives_of(*method, smooth));
                again += method->state();
            }
            CHECK(again == states);
        }
    }
}

TEST_CASE("search methods: other seeds, other points; ask() changes nothing") {
    for (const char* name : {"spsa", "cma_es"}) {
        const auto one = make(name), same = make(name), other = make(name, of_seed(std::uint64_t{7} << 40));
        CHECK(one->ask().back().x == one->ask().back().x);
        CHECK(one->ask().back().x == same->ask().back().x);
        CHECK(one->ask().back().x != other->ask().back().x);
        CHECK_THROWS_AS(other->restore(one->state(), "state"), UsageError);
        const Point first = one->ask().back().x;
        one->tell(objectives_of(*one, smooth));
        CHECK(one->ask().back().x != first);
    }
}

TEST_CASE("search methods: frozen schedules never move, searched ones do") {
    for (const char* name : names)
        for (const SearchGroup group : search_groups) {
            const auto method = make(name, of_seed(1), std::string(name_of(group)).c_str(), 5);
            const SearchSpace& space = method->space();
            Strategy start = autonat_start(5);
            start.guidance_scales[0] = 0;  // out of bounds, which does not matter where it is frozen
            const auto frozen = make_search_method(name, space, start, of_seed(1));
            const Point x0 = space.point(start);
            std::vector<bool> moved(space.size());
            for (int update = 0; update < 6; ++update) {
                for (const SearchPoint& point : frozen->ask())
                    for (std::size_t i = 0; i < space.size(); ++i) {
                        if (space.group(i) != group) CHECK(point.x[i] == x0[i]);
                        if (point.x[i] != x0[i]) moved[i] = true;
                    }
                frozen->tell(objectives_of(*frozen, smooth));
            }
            for (std::size_t i = 0; i < space.size(); ++i) CHECK(moved[i] == (space.group(i) == group));
        }
}

TEST_CASE("search methods: all points lie within the bounds") {
    for (const char* name : names) {
        const auto method = make(name);
        const SearchSpace& space = method->space();
        for (int update = 0; update < 40; ++update) {
            for (const auto& [phase, x] : method->ask())
                for (std::size_t i = 0; i < x.size(); ++i) {
                    const bool probe = phase.starts_with("grad_est");
                    CHECK(x[i] == (probe ? space.clamp_probe(i, x[i]) : space.clamp(i, x[i])));
                }
            // Downhill to the lower bounds of odd coordinates, upwards without end of the others.
            method->tell(objectives_of(*method, [](const Point& x, std::int64_t) {
                double sum = 0;
                for (std::size_t i = 0; i < x.size(); ++i) sum += (i % 2 == 0 ? -1 : 1) * x[i];
                return sum;
            }));
        }
    }
}

TEST_CASE("search methods: the last iterate is evaluated; more updates continue a finished search") {
    for (const char* name : names) {
        const auto whole = make(name, of_seed(3, 9));
        run(*whole, smooth, 1'000'000);
        CHECK(whole->finished());
        CHECK(whole->ask().empty());
        CHECK(whole->update() == 9);
        const auto start = make(name, of_seed(3, 4));
        run(*start, smooth, 1'000'000);
        CHECK(start->update() == 4);
        const auto continued = make(name, of_seed(3, 9));
        continued->restore(start->state(), "state");
        CHECK_FALSE(continued->finished());
        CHECK(continued->ask().front().phase != "stp_4");  // known
        run(*continued, smooth, 1'000'000);
        CHECK(continued->iterate() == whole->iterate());
    }
}

TEST_CASE("search methods: objectives that are not finite are refused, and nothing has changed") {
    for (const char* name : names) {
        const auto method = make(name);
        std::vector<double> objectives = objectives_of(*method, smooth);
        const std::string state = method->state();
        for (const double wrong :
             {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
            const double value = std::exchange(objectives.back(), wrong);
            CHECK_THROWS_AS(method->tell(objectives), Error);
            objectives.back() = value;
        }
        objectives.pop_back();
        CHECK_THROWS_AS(method->tell(objectives), std::logic_error);
        CHECK(method->state() == state);
    }
}

TEST_CASE("search methods: states of another search, cut off or of wrong lengths are refused") {
    for (const char* name : names) {
        const auto method = make(name);
        method->tell(objectives_of(*method, smooth));
        const std::string state = method->state();
        const auto refuse = [&](const std::string& text) {
            CHECK_THROWS_AS(make(name)->restore(text, "state"), UsageError);
        };
        for (std::size_t bytes = 0; bytes < state.size(); bytes += 97) refuse(state.substr(0, bytes));
        refuse(replaced(state, "\"iterate\":[", "\"iterate\":[1,"));
        refuse(replaced(state, "\"start\":[0.9", "\"start\":[0.8"));
        refuse(replaced(state, "\"update\":[1.0]", "\"update\":[-1]"));
        refuse(replaced(state, "\"update\":[1.0]", "\"update\":[0.5]"));
        refuse(replaced(state, "\"update\":[1.0]", "\"update\":[1e300]"));
        refuse(replaced(state, "\"update\":[1.0]", "\"update\":\"\""));
        refuse(replaced(state, "\"objective\":[]", "\"objective\":[1,2]"));
        refuse(replaced(state, "\"variables\":{", "\"variables\":{\"more\":[],"));
        refuse(replaced(state, "\"method\":\"", "\"method\":\"other "));
        CHECK_THROWS_AS(make(name, of_seed(7), "ratios")->restore(state, "state"), UsageError);
        CHECK_THROWS_AS(make(name, of_seed(7), "all", 7)->restore(state, "state"), UsageError);
        CHECK_NOTHROW(make(name)->restore(state, "state"));
    }
    SearchSettings settings = of_seed(7);
    const std::string state = make(names[0])->state();
    settings.finite_differences.momentum = 0.9;
    CHECK_THROWS_WITH_AS(make(names[0], settings)->restore(state, "state.json"),
                         "state.json: momentum is [0.5] there, [0.9] here", UsageError);
}

TEST_CASE("search methods: settings out of range and unknown names are refused") {
    CHECK_THROWS_AS(make("adam"), UsageError);
    CHECK_THROWS_AS(make("spsa", of_seed(0, 0)), UsageError);
    const auto refuse = [](const char* name, auto change) {
        SearchSettings settings;
        change(settings);
        CHECK_THROWS_AS(make(name, settings), UsageError);
    };
    refuse(names[0], [](SearchSettings& s) { s.finite_differences.momentum = 1; });
    refuse(names[0], [](SearchSettings& s) { s.finite_differences.ratio_step = 0; });
    refuse(names[0], [](SearchSettings& s) { s.finite_differences.gradient_clamp = -1; });
    refuse(names[1], [](SearchSettings& s) { s.spsa.pairs = 0; });
    refuse(names[1], [](SearchSettings& s) { s.spsa.c = NAN; });
    refuse(names[1], [](SearchSettings& s) { s.spsa.A = -1; });
    refuse(names[1], [](SearchSettings& s) { s.spsa.iterate_every = 0; });
    refuse(names[2], [](SearchSettings& s) { s.cma_es.population = 3; });
    refuse(names[2], [](SearchSettings& s) { s.cma_es.scales.ratios = 0.5; });
    refuse(names[2], [](SearchSettings& s) { s.cma_es.sigma = 0; });
}
