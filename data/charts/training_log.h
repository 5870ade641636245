// The log.csv of a run (train/run_folder.h), read.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

struct TrainingLog {
    std::filesystem::path path;
    std::vector<std::string> columns;         // the first is "step", at most 64
    std::vector<std::vector<double>> values;  // [columns][rows], NaN where a cell is empty; whole steps

    std::size_t rows() const { return values.front().size(); }
    // Null if there is none of that name.
    const std::vector<double>* find(std::string_view column) const;
    // Throws Error naming the file if there is none.
    const std::vector<double>& column(std::string_view name) const;
};

// A last line without its end is one that a run is just writing, and left out. Throws UsageError if the file
// cannot be opened, Error naming the line if it is not such a log.
TrainingLog read_training_log(const std::filesystem::path& path);
