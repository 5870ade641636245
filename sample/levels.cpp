// `build/sample levels`: table of trained runs, their costs and likelihoods: the paper's comparison of two
// levels with three (section 5.1).
#include <fmt/ranges.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/fractal/cost.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "sample/jobs.h"
#include "sample/trained_run.h"

namespace {

struct Run {
    TrainedRun trained;
    FractalConfig config;
    FractalCost cost;
    double bits_per_dim = 0, standard_error = 0;
    bool exact = true;  // false: an estimate of a bound
    std::int64_t evaluated_images = 0;
};

Run read_run(const std::string& folder) {
    const std::filesystem::path path(folder), nll_path = path / "nll.json";
    Run run;
    run.trained = read_trained_run(folder);
    run.config = parse_fractal_config(json_text(run.trained.model), (path / "config.json").string());
    run.cost = fractal_cost(run.config, {recommended_iterations(run.config), false});
    if (!std::filesystem::exists(nll_path))
        fail("{}: missing; build/sample evaluate nll --checkpoint {} --data FILE --json > {} makes it",
             nll_path.string(), (path / "last.safetensors").string(), nll_path.string());
    const nlohmann::json nll = read_json_object(nll_path);
    run.bits_per_dim = json_number(nll, "bits_per_dim", nll_path);
    run.standard_error = json_number(nll, "standard_error", nll_path);
    run.evaluated_images = static_cast<std::int64_t>(json_number(nll, "images", nll_path));
    run.exact = json_member(nll, "exact", nll_path) == true;
    return run;
}

std::string types(const FractalConfig& config) {
    return fmt::format(
        "{}", fmt::join(config.generator_type_list.begin(), config.generator_type_list.end() - 1, ","));
}

void print_table(const std::vector<Run>& runs) {
    fmt::print("{:<24}{:>7}{:>12}{:>10}{:>12}{:>17}{:>17}{:>9}{:>12}{:>14}\n", "", "levels", "image sizes",
               "type", "parameters", "GFLOP, training", "GFLOP, sampling", "images", "trained, s",
               "bits/dim");
    bool bounds = false;
    for (const Run& run : runs) {
        fmt::print("{:<24}{:>7}{:>12}{:>10}{:>12}{:>17.3f}{:>17.3f}{:>9.0f}{:>12.1f}{:>14}\n",
                   run.trained.folder, run.config.img_size_list.size(),
                   fmt::format("{}", fmt::join(run.config.img_size_list, ",")), types(run.config),
                   run.cost.parameters(), run.cost.sum(&NetworkCost::training) / 1e9,
                   run.cost.sum(&NetworkCost::sampling) / 1e9, run.trained.images, run.trained.seconds,
                   fmt::format("{}{:.3f}", run.exact ? "" : "<= ", run.bits_per_dim));
        bounds = bounds || !run.exact;
    }
    fmt::print(
        "\nGFLOP: of one image, in training forward and backward, in sampling without guidance at 64,16,... "
        "steps (build/sample cost)\ntrained: time of the updates alone, on this machine; bits/dim over {} "
        "images{}\n",
        runs.front().evaluated_images, bounds ? "; <=: estimate of an upper bound" : "");
}

void run_levels(const std::vector<std::string>& folders) {
    std::vector<Run> runs;
    for (const std::string& folder : folders) runs.push_back(read_run(folder));
    print_table(runs);
}

}  // namespace

void add_levels_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand(
        "levels", "Compare trained runs: levels, operations, time of training and bits per dimension");
    const auto folders = std::make_shared<std::vector<std::string>>();
    command
        ->add_option(
            "RUN", *folders,
            "Folders of runs, each with config.json, log.csv and nll.json, the output of evaluate nll --json")
        ->required();
    command->callback([folders] { run_levels(*folders); });
}
