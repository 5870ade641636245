// Curves of training runs as one picture, to monitor a run or compare several.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/charts/chart.h"
#include "data/charts/training_log.h"
#include "data/images/image_file.h"

struct NamedLog {
    std::string name;
    TrainingLog log;
};

// The number of distinguishable colours.
constexpr std::size_t most_compared_runs = curve_palette.size();

// Name of a run: its folder's name, "" for none.
std::string run_name(const std::filesystem::path& folder);

// 1200 pixels wide, 700 to 1000 high: a chart for each column of log.csv but memory, over the steps; large
// the one that validation measures as well, or else the loss. The column validation_X is drawn with the
// column X. Several runs lie over each other in colours of their own. Columns that are zero throughout are
// left out, and values beyond 1e100. Each log has a row at least.
Image training_curves(std::span<const NamedLog> runs);
