#include "sample/trained_run.h"

#include "data/charts/training_log.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/text_file.h"

nlohmann::json read_json_object(const std::filesystem::path& path) {
    nlohmann::json json = parse_json_or_discard(read_text_file(path), path.string());
    if (!json.is_object()) fail("{}: not a JSON object", path.string());
    return json;
}

const nlohmann::json& json_member(const nlohmann::json& json, const char* key,
                                  const std::filesystem::path& path) {
    if (!json.contains(key)) fail("{}: the key {} is missing", path.string(), key);
    return json.at(key);
}

double json_number(const nlohmann::json& json, const char* key, const std::filesystem::path& path) {
    const nlohmann::json& value = json_member(json, key, path);
    if (!value.is_number()) fail("{}: {} is {}, expected a number", path.string(), key, shown(value));
    return value.get<double>();
}

namespace {

// A row of log.csv has the speed of the updates since the previous row, without sheets and evaluations.
void read_log(const std::filesystem::path& path, double images_per_step, TrainedRun& run) {
    const TrainingLog log = read_training_log(path);
    const std::vector<double>&steps = log.column("step"), &speeds = log.column("images_per_second");
    if (steps.empty()) fail("{}: holds no row, expected those of a training run", path.string());
    double last_step = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (!(steps[i] > last_step && speeds[i] > 0))
            fail("{}: line {}: step {} at {} images a second, expected a later step and a speed above 0",
                 path.string(), i + 2, steps[i], speeds[i]);
        run.seconds += (steps[i] - last_step) * images_per_step / speeds[i];
        last_step = steps[i];
    }
    run.images = last_step * images_per_step;
}

}  // namespace

TrainedRun read_trained_run(const std::string& folder) {
    const std::filesystem::path path(folder), config_path = path / "config.json";
    const nlohmann::json config = read_json_object(config_path);
    TrainedRun run{folder, json_member(config, "model", config_path)};
    const nlohmann::json& training = json_member(config, "training", config_path);
    read_log(path / "log.csv",
             json_number(training, "ranks", config_path) * json_number(training, "batch", config_path) *
                 json_number(training, "accumulation", config_path),
             run);
    return run;
}
