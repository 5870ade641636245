#include "models/fractal/checkpoint.h"

#include <nlohmann/json.hpp>

#include "runtime/error.h"

namespace {

constexpr const char* format_name = "fractal.cu fractal model";
constexpr std::string_view class_embeddings = "class_emb.weight";

}  // namespace

void describe(CheckpointWriter& writer, const FractalDescription& description) {
    writer.set("format", format_name);
    writer.set("config", to_json(description.config));
    writer.set("classes", nlohmann::json(description.classes).dump());
    writer.set("step", std::to_string(description.step));
    if (description.ema_decay > 0) writer.set("ema_decay", nlohmann::json(description.ema_decay).dump());
}

FractalDescription read_description(const TensorFile& file, const std::optional<FractalConfig>& config) {
    const std::string path = file.path().string();
    FractalDescription description;
    const auto format = file.metadata().find("format");
    if (format == file.metadata().end() || format->second != format_name) {
        if (!config)
            fail_usage(
                "{}: does not say which model it is (no metadata \"{}\"): --preset NAME or --config FILE "
                "says it",
                path, format_name);
        description.config = *config;
        return description;
    }
    try {
        description.config = parse_fractal_config(file.metadata("config"), path + ": config");
        nlohmann::json::parse(file.metadata("classes")).get_to(description.classes);
        nlohmann::json::parse(file.metadata("step")).get_to(description.step);
        if (file.metadata().contains("ema_decay"))
            nlohmann::json::parse(file.metadata("ema_decay")).get_to(description.ema_decay);
    } catch (const nlohmann::json::exception&) {
        fail("{}: its metadata is malformed", path);
    } catch (const UsageError& error) {
        throw Error(error.what());
    }
    if (config && *config != description.config)
        fail_usage(
            "{}: is of another model than --preset or --config says; without them it says itself which",
            path);
    return description;
}

FractalConfig preset_for(const TensorFile& file, std::string_view name) {
    FractalConfig config = fractal_preset(name).config;
    const bool labelled = file.contains(class_embeddings);
    if (!labelled) config.class_num = 0;
    if (labelled && !file.shape(class_embeddings).empty())
        config.class_num = file.shape(class_embeddings).front();
    config.validate(file.path().string());
    return config;
}

std::unique_ptr<FractalModel> load_fractal(const TensorFile& file, const FractalConfig& config,
                                           Backend backend, std::optional<WeightChoice> choice) {
    auto model = std::make_unique<FractalModel>(config, backend);
    load_weights(file, model->parameters(), backend, choice);
    return model;
}
