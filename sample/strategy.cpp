// `build/sample strategy`: the schedules of a generation strategy, and the tokens that each step fixes.
#include <fmt/ranges.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/nat/strategy_steps.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "sample/jobs.h"
#include "sample/strategy_flags.h"
#include "sample/strategy_plot.h"

namespace {

constexpr std::int64_t largest_side = 64;

struct StrategyJob {
    StrategyFlags flags;
    std::int64_t side = 16;
    std::string plot;
    bool json = false;
};

// What the four lists leave open.
std::string rules_of(const Strategy& strategy) {
    const nlohmann::json json = parse_json(to_json(strategy), "");
    std::vector<std::string> rules;
    for (const char* key : {"order", "confidence", "counts"})
        if (json.contains(key)) rules.push_back(fmt::format("{}: {}", key, json[key].get<std::string>()));
    return rules.empty() ? "" : fmt::format("; {}", fmt::join(rules, ", "));
}

// "-" where the last step has none.
std::string cell(const std::vector<double>& values, std::size_t t) {
    return t < values.size() ? fmt::format("{:.4f}", values[t]) : "-";
}

void print_table(const Strategy& strategy, std::span<const std::int64_t> fixed, const std::string& title) {
    fmt::print("{}\n\n{:>4}{:>14}{:>14}{:>10}{:>14}{:>14}{:>14}\n", title, "step", "tokens fixed",
               "still masked", "ratio", "re-masking", "sampling", "guidance");
    fmt::print("{:>4}{:>14}{:>14}{:>10}{:>14}{:>14}{:>14}\n", "", "", "", "", "temperature", "temperature",
               "scale s");
    std::int64_t masked = 0;
    for (const std::int64_t count : fixed) masked += count;
    for (std::size_t t = 0; t < fixed.size(); ++t) {
        masked -= fixed[t];
        fmt::print("{:>4}{:>14}{:>14}{:>10}{:>14}{:>14}{:>14}\n", t + 1, fixed[t], masked,
                   cell(strategy.ratios, t), cell(strategy.remask_temperatures, t),
                   cell(strategy.sampling_temperatures, t), cell(strategy.guidance_scales, t));
    }
}

void run_strategy(const StrategyJob& job) {
    const std::int64_t N = job.side * job.side;
    const Strategy strategy = job.flags.choose(N, true);
    const std::vector<std::int64_t> fixed = fixed_tokens(strategy, N);
    const std::string title =
        fmt::format("{}: {} step{}, {}x{} tokens{}", job.flags.strategy, strategy.steps(),
                    strategy.steps() == 1 ? "" : "s", job.side, job.side, rules_of(strategy));
    if (!job.plot.empty()) {
        require_distinct({"--plot", job.plot}, job.flags.inputs());
        write_png(job.plot, strategy_plot(strategy, fixed, title));
    }
    if (!job.json) return print_table(strategy, fixed, title);
    const nlohmann::ordered_json json{{"name", job.flags.strategy},
                                      {"side", job.side},
                                      {"steps", strategy.steps()},
                                      {"tokens_fixed", fixed},
                                      {"strategy", parse_ordered_json(to_json(strategy))}};
    fmt::print("{}\n", json_of_settings(json));
}

}  // namespace

void add_strategy_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand(
        "strategy", "Show the schedules of a generation strategy, and how many tokens each step fixes");
    const auto job = std::make_shared<StrategyJob>();
    add_strategy_flags(*command, job->flags, "strategy");
    command->add_option("--side", job->side, "Side of the token grid")
        ->capture_default_str()
        ->check(within(1, largest_side));
    command->add_option("--plot", job->plot, "PNG file: the tokens of each step and the schedules")
        ->type_name("FILE");
    command->add_flag("--json", job->json, "Print one JSON object; its \"strategy\" is a strategy file");
    command->callback([job] { run_strategy(*job); });
}
