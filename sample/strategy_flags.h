// The flags that choose a generation strategy: a name with its steps and guidance, or a file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/nat/strategy.h"
#include "runtime/files/output_file.h"

class CommandLine;

struct StrategyFlags {
    std::string strategy = "cosine", flag = "--strategy";
    std::optional<std::int64_t> steps;
    std::optional<double> largest_scale;

    // The file, if it is one. A name prevails over a file called so.
    std::vector<NamedPath> inputs() const;
    // For a grid of N tokens; `labelled`: of a model with classes, which alone can be guided. Throws UsageError
    // naming the flag that does not fit the strategy, the grid or the model.
    Strategy choose(std::int64_t N, bool labelled) const;
};
// `name` of the flag: --strategy, or strategy for a word of its own.
void add_strategy_flags(CommandLine& command, StrategyFlags& flags, const std::string& name);
