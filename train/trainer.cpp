#include "train/trainer.h"

#include <fmt/core.h>

#include <string>

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
