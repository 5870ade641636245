#include "sample/checkpoint_flags.h"

#include "runtime/error.h"

std::optional<WeightChoice> CheckpointFlags::weight_choice() const {
    if (weights.empty()) return std::nullopt;
    if (weights == "newest") return WeightChoice::newest;
    if (weights == "average") return WeightChoice::average;
    fail_usage("--weights {}: expected newest or average", weights);
}

std::optional<FractalConfig> CheckpointFlags::given_config(const TensorFile& file) const {
    if (!preset.empty() && !config.empty()) fail_usage("expected either --preset or --config, not both");
    if (!preset.empty()) return preset_for(file, preset);
    if (!config.empty()) return read_fractal_config(config);
    return std::nullopt;
}

void add_model_flags(CLI::App& app, CheckpointFlags& flags) {
    app.add_option(
        "--preset", flags.preset,
        "Model of a file that does not say it (a published .pth), by name; classes follow the file");
    app.add_option("--config", flags.config, "The same from a JSON file, as build/train takes it");
}

void add_checkpoint_flags(CLI::App& app, CheckpointFlags& flags) {
    app.add_option("--checkpoint", flags.checkpoint,
                   "Checkpoint of a run, RUN/last.safetensors for instance, or a published .pth")
        ->required();
    add_model_flags(app, flags);
    app.add_option("--weights", flags.weights,
                   "newest or average (default: the average if the checkpoint has one)");
}

OpenedCheckpoint::OpenedCheckpoint(const CheckpointFlags& flags)
    : file(open_tensor_file(flags.checkpoint)),
      description(read_description(*file, flags.given_config(*file))),
      choice(flags.weight_choice()) {}

std::unique_ptr<FractalModel> OpenedCheckpoint::load(Backend backend) const {
    return load_fractal(*file, description.config, backend, choice);
}
