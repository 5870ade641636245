// The flag --weights of every job that loads a checkpoint.
#pragma once

#include <optional>
#include <string_view>

#include "models/fractal/checkpoint.h"
#include "runtime/error.h"

// "" -> no choice, "newest", "average"; throws UsageError for anything else.
inline std::optional<WeightChoice> parse_weight_choice(std::string_view text) {
    if (text.empty()) return std::nullopt;
    if (text == "newest") return WeightChoice::newest;
    if (text == "average") return WeightChoice::average;
    fail_usage("--weights {}: expected newest or average", text);
}
