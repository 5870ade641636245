#include "train/trainer.h"

#include <fmt/core.h>

#include <algorithm>
#include <string>

void Trainer::measure_also(std::vector<std::string> columns, const std::optional<std::string>& best) {
    further_columns_ = std::move(columns);
    best_column_ = best;
}

namespace {

// The one that decides comes first.
template <class Value>
void move_to_front(std::vector<Value>& values, std::size_t index) {
    std::rotate(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(index),
                values.begin() + static_cast<std::ptrdiff_t>(index) + 1);
}

}  // namespace

std::vector<std::string> Trainer::measured_columns() const {
    std::vector<std::string> columns = own_columns();
    columns.insert(columns.end(), further_columns_.begin(), further_columns_.end());
    return columns;
}

std::size_t Trainer::best_index() const {
    if (!best_column_) return 0;
    const std::vector<std::string> columns = measured_columns();
    return static_cast<std::size_t>(std::ranges::find(columns, *best_column_) - columns.begin());
}

std::vector<std::string> Trainer::validation_columns() const {
    std::vector<std::string> columns = measured_columns();
    move_to_front(columns, best_index());
    return columns;
}

std::vector<double> Trainer::evaluate(const RunFolder& folder, Progress& progress) {
    std::vector<double> values = evaluation_(folder, progress);
    if (!values.empty()) move_to_front(values, best_index());
    return values;
}

void Trainer::save(const std::filesystem::path& path, std::optional<double> score, bool with_state) {
    CheckpointWriter writer;
    if (!save_state(writer, path, with_state)) return;
    write_model(writer);
    writer.set("training", to_json(settings_));
    writer.set("seed", std::to_string(settings_.seed));
    if (score) writer.set(validation_columns().front(), fmt::format("{}", *score));
    writer.write(path);
}

void Trainer::resume(const SafetensorsFile& file) {
    const std::int64_t steps = check_checkpoint(file);
    require_same_training(file.metadata("training"), settings_, file.path().string());
    resume_state(file, steps);
}
