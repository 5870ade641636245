// What a search reports: figures of strategies on fresh seeds, side by side.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "train/search/strategy_measures.h"

struct ReportRow {
    std::string name, setting;
    Strategy strategy;
    std::string checkpoint;             // that it draws with
    double operations = 0;              // of a picture, 2 per multiply-add
    std::vector<Figures> figures = {};  // by seed, the same seeds in all rows
};

// The table. Rows named `found` are compared with the best of the others by the objective, of each checkpoint, over
// the same seeds.
std::string report_text(const std::vector<ReportRow>& rows, const SearchModels& models,
                        const ObjectiveTerms& terms, std::int64_t images);
// The same as JSON, for `build/sample strategies`: {"images", "repeats", "distance", "rows": [{"name", "setting",
// "steps", "operations", "checkpoint", "strategy", "figures": {NAME: [mean, standard error]}}]}.
void write_report(const std::filesystem::path& path, const std::vector<ReportRow>& rows,
                  const SearchModels& models, std::int64_t images);

// Whether the name is of what a search found.
bool is_found(const std::string& name);
