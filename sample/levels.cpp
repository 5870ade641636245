// `build/sample levels`: table of trained runs, their costs and likelihoods: the paper's comparison of two
// levels with three (section 5.1).
#include <fmt/ranges.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/charts/training_log.h"
#include "models/fractal/cost.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/text_file.h"
#include "sample/jobs.h"

namespace {

struct Run {
    std::string name;
    FractalConfig config;
    FractalCost cost;
    double images = 0, seconds = 0;  // trained on; time of the updates alone
    double bits_per_dim = 0, standard_error = 0;
    bool exact = true;  // false: an estimate of a bound
    std::int64_t evaluated_images = 0;
};

nlohmann::json parse_file(const std::filesystem::path& path) {
    nlohmann::json json = parse_json_or_discard(read_text_file(path), path.string());
    if (!json.is_object()) fail("{}: not a JSON object", path.string());
    return json;
}

const nlohmann::json& member(const nlohmann::json& json, const char* key, const std::filesystem::path& path) {
    if (!json.contains(key)) fail("{}: the key {} is missing", path.string(), key);
    return json.at(key);
}

double number(const nlohmann::json& json, const char* key, const std::filesystem::path& path) {
    const nlohmann::json& value = member(json, key, path);
    if (!value.is_number()) fail("{}: {} is {}, expected a number", path.string(), key, shown(value));
    return value.get<double>();
}

// A row of log.csv has the speed of the updates since the previous row, without sheets and evaluations.
void read_log(const std::filesystem::path& path, double images_per_step, Run& run) {
    const TrainingLog log = read_training_log(path);
    const std::vector<double>&steps = log.column("step"), &speeds = log.column("images_per_second");
    if (steps.empty()) fail("{}: holds no row, expected those of a training run", path.string());
    double last_step = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (!(steps[i] > last_step && speeds[i] > 0))
            fail("{}: line {}: step {} at {} images a second, expected a later step and a speed above 0",
                 path.string(), i + 2, steps[i], speeds[i]);
        run.seconds += (steps[i] - last_step) * images_per_step / speeds[i];
        last_step = steps[i];
    }
    run.images = last_step * images_per_step;
}

Run read_run(const std::string& folder) {
    const std::filesystem::path path(folder), config_path = path / "config.json",
                                              nll_path = path / "nll.json";
    const nlohmann::json config = parse_file(config_path);
    Run run;
    run.name = folder;
    run.config = parse_fractal_config(json_text(member(config, "model", config_path)), config_path.string());
    run.cost = fractal_cost(run.config, {recommended_iterations(run.config), false});
    const nlohmann::json& training = member(config, "training", config_path);
    read_log(path / "log.csv",
             number(training, "ranks", config_path) * number(training, "batch", config_path) *
                 number(training, "accumulation", config_path),
             run);
    if (!std::filesystem::exists(nll_path))
        fail("{}: missing; build/sample evaluate nll --checkpoint {} --data FILE --json > {} makes it",
             nll_path.string(), (path / "last.safetensors").string(), nll_path.string());
    const nlohmann::json nll = parse_file(nll_path);
    run.bits_per_dim = number(nll, "bits_per_dim", nll_path);
    run.standard_error = number(nll, "standard_error", nll_path);
    run.evaluated_images = static_cast<std::int64_t>(number(nll, "images", nll_path));
    run.exact = member(nll, "exact", nll_path) == true;
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
        fmt::print("{:<24}{:>7}{:>12}{:>10}{:>12}{:>17.3f}{:>17.3f}{:>9.0f}{:>12.1f}{:>14}\n", run.name,
                   run.config.img_size_list.size(),
                   fmt::format("{}", fmt::join(run.config.img_size_list, ",")), types(run.config),
                   run.cost.parameters(), run.cost.sum(&NetworkCost::training) / 1e9,
                   run.cost.sum(&NetworkCost::sampling) / 1e9, run.images, run.seconds,
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
