#include "sample/strategy_flags.h"

#include <algorithm>
#include <filesystem>

#include "models/nat/strategy_heuristics.h"
#include "models/nat/strategy_steps.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"

namespace {

constexpr std::int64_t default_steps = 8;
constexpr double default_scale = 1;

// A word that is neither a name nor like a path was meant to be a name.
bool is_file(const std::string& word) {
    if (is_strategy_name(word)) return false;
    std::error_code error;
    return word.find_first_of("/.") != std::string::npos || std::filesystem::exists(word, error);
}

}  // namespace

std::vector<NamedPath> StrategyFlags::inputs() const {
    if (!is_file(strategy)) return {};
    return {{flag, strategy}};
}

Strategy StrategyFlags::choose(std::int64_t N, bool labelled) const {
    if (largest_scale && *largest_scale != 0 && !labelled)
        fail_usage("--cfg-max {}: the model has no classes, expected 0", *largest_scale);
    if (!is_file(strategy)) {
        const Strategy named = named_strategy(strategy, steps.value_or(std::min(default_steps, N)),
                                              largest_scale.value_or(labelled ? default_scale : 0));
        require_tokens(named, N, "--steps");
        return named;
    }
    if (largest_scale) fail_usage("--cfg-max {}: {} holds its own guidance scales", *largest_scale, strategy);
    Strategy read = read_strategy(strategy);
    if (steps && *steps != read.steps())
        fail_usage("--steps {}: {} is a strategy of {} steps", *steps, strategy, read.steps());
    require_tokens(read, N, strategy);
    return read;
}

void add_strategy_flags(CommandLine& command, StrategyFlags& flags, const std::string& name) {
    flags.flag = name;
    command
        .add_option("--steps", flags.steps,
                    fmt::format("Steps of a strategy given by name (default {}); a file has its own number",
                                default_steps))
        ->check(within(std::int64_t{1}, max_decoding_steps));
    command
        .add_option(name, flags.strategy,
                    fmt::format("{} (models/nat/README.md says what they are), or a file: JSON as "
                                "models/nat/autonat_l_8.json, or YAML as published",
                                strategy_names()))
        ->type_name("NAME|FILE")
        ->capture_default_str();
    command.add_option(
        "--cfg-max", flags.largest_scale,
        fmt::format(
            "Largest guidance scale of a strategy given by name, that of its last step (default {}); 0 is "
            "no guidance and takes half the time. Logits are c + s (c - u), so s here is --cfg 1 + s "
            "elsewhere",
            default_scale));
}
