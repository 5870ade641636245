#include "sample/checkpoint_flags.h"

#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/files/text_file.h"

std::optional<WeightChoice> CheckpointFlags::weight_choice() const {
    if (weights.empty()) return std::nullopt;
    if (weights == "newest") return WeightChoice::newest;
    if (weights == "average") return WeightChoice::average;
    fail_usage("--weights {}: expected newest or average", weights);
}

namespace {

// By the name of a preset or from a file, whichever flag was given.
template <class Config>
std::optional<Config> given(const CheckpointFlags& flags, const TensorFile& file,
                            Config (*of_preset)(const TensorFile&, std::string_view),
                            Config (*of_file)(const std::filesystem::path&)) {
    if (!flags.preset.empty() && !flags.config.empty())
        fail_usage("expected either --preset or --config, not both");
    if (!flags.preset.empty()) return of_preset(file, flags.preset);
    if (!flags.config.empty()) return of_file(flags.config);
    return std::nullopt;
}

}  // namespace

std::optional<FractalConfig> CheckpointFlags::given_config(const TensorFile& file) const {
    return given(*this, file, preset_for, read_fractal_config);
}

std::optional<TextConfig> CheckpointFlags::given_text_config(const TensorFile& file) const {
    return given<TextConfig>(
        *this, file, [](const TensorFile&, std::string_view name) { return text_preset(name).config; },
        [](const std::filesystem::path& path) {
            return parse_text_config(read_text_file(path), path.string());
        });
}

std::optional<NatConfig> CheckpointFlags::given_nat_config(const TensorFile& file) const {
    return given(*this, file, nat_preset_for, read_nat_config);
}

void add_model_flags(CommandLine& app, CheckpointFlags& flags) {
    app.add_option(
           "--preset", flags.preset,
           "Model of a file that does not say it (a published .pth), by name; classes follow the file")
        ->type_name("NAME");
    app.add_option("--config", flags.config, "The same from a JSON file, as build/train takes it")
        ->type_name("FILE");
}

void add_checkpoint_flags(CommandLine& app, CheckpointFlags& flags) {
    app.add_option("--checkpoint", flags.checkpoint,
                   "Checkpoint of a run, RUN/last.safetensors for instance, or a published .pth")
        ->type_name("FILE")
        ->required();
    add_model_flags(app, flags);
    app.add_option("--weights", flags.weights, weights_meaning)->type_name("NAME");
}

OpenedCheckpoint::OpenedCheckpoint(const CheckpointFlags& flags)
    : file(open_tensor_file(flags.checkpoint)),
      metadata(read_metadata(*file, flags.given_config(*file))),
      choice(flags.weight_choice()) {}

std::unique_ptr<FractalModel> OpenedCheckpoint::load(Backend backend) const {
    auto model = load_fractal(*file, metadata.config, backend, choice);
    report_origin("sample", *file, chosen_prefix(*file, choice));
    return model;
}
