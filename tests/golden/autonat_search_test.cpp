// The search of AutoNAT's release on a toy objective, of which every evaluation was recorded: two runs, the
// second with clamped gradients.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/nat/search/finite_differences.h"
#include "models/nat/search/search_history.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/text_file.h"
#include "tests/unit/temporary_folder.h"

namespace {

struct RecordedRun {
    std::int64_t steps, updates;
    double scale, best;
    FiniteDifferenceSettings settings;
    std::vector<std::string> phases;
    std::vector<std::vector<double>> points;
    std::vector<double> objectives;
};

std::vector<RecordedRun> recorded_runs() {
    const std::string path = "tests/golden/autonat_search.json";
    std::vector<RecordedRun> runs;
    const nlohmann::json golden = parse_json(read_text_file(path), path);
    for (const nlohmann::json& json : golden.at("runs")) {
        RecordedRun& run = runs.emplace_back();
        run.steps = json.at("T");
        run.updates = json.at("updates");
        run.scale = json.at("scale");
        run.best = json.at("best_fid");
        if (!json.at("clip_grad").is_null()) run.settings.gradient_clamp = json.at("clip_grad").get<double>();
        run.phases = json.at("phases").get<std::vector<std::string>>();
        for (const nlohmann::json& evaluation : json.at("evaluations")) {
            run.points.push_back(evaluation.at("x").get<std::vector<double>>());
            run.objectives.push_back(evaluation.at("fid"));
        }
    }
    return runs;
}

double toy_objective(const std::vector<double>& x, double scale) {
    double value = 5;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double order = 1 + static_cast<double>(i);
        value += scale * order * (x[i] - std::cos(order)) * (x[i] - std::cos(order));
    }
    return value;
}

void check_equal(double value, double recorded) {
    CHECK(std::abs(value - recorded) <= 1e-12 * std::max(1.0, std::abs(recorded)));
}

}  // namespace

TEST_CASE("golden: AutoNAT's search, every point, phase and objective in order") {
    const TemporaryFolder folder;
    const auto runs = recorded_runs();
    REQUIRE(runs.size() == 2);
    CHECK(runs[1].settings.gradient_clamp.has_value());
    for (const RecordedRun& run : runs) {
        const SearchSpace space(run.steps);
        FiniteDifferences method(space, autonat_start(run.steps), run.updates, run.settings);
        SearchHistory history(folder / "search.csv", space);
        std::size_t n = 0;
        while (!method.finished()) {
            std::vector<double> objectives;
            for (const auto& [phase, x] : method.ask()) {
                REQUIRE(n < run.points.size());
                CHECK(phase == run.phases[n]);
                REQUIRE(x.size() == run.points[n].size());
                for (std::size_t i = 0; i < x.size(); ++i) check_equal(x[i], run.points[n][i]);
                objectives.push_back(toy_objective(x, run.scale));
                check_equal(objectives.back(), run.objectives[n]);
                history.append({.method = std::string(method.name()),
                                .update = method.update(),
                                .phase = phase,
                                .x = x,
                                .objective = objectives.back(),
                                .standard_error = std::nullopt,
                                .pictures = 0,
                                .learning_rates = method.learning_rates()});
                ++n;
            }
            method.tell(objectives);
        }
        CHECK(n == run.points.size());
        REQUIRE(history.best_iterate().has_value());
        check_equal(history.best_iterate()->objective, run.best);
    }
}
