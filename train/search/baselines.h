// Strategies of the literature at their best settings: what a found strategy has to beat.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/nat/strategy.h"

struct BaselineGrid {
    std::vector<std::string> names{"cosine", "muse", "halton"};  // models/nat/strategy_heuristics.h
    std::vector<double> guidance_scales{0, 1, 2, 4};             // the largest of the schedule
    std::vector<double> temperatures{1, 2, 4.5, 9};              // the first of the schedule; halton has none
};

struct Baseline {
    std::string name, setting;  // "cosine", "s 2, temperature 4.5"
    Strategy strategy;
};

// Every setting of each name. `guided`: false for a model without classes, which has only the scale 0. Throws
// UsageError for an unknown name or a number out of range.
std::vector<Baseline> baselines(const BaselineGrid& grid, std::int64_t steps, bool guided);
