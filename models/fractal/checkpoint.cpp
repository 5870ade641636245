#include "models/fractal/checkpoint.h"

#include <nlohmann/json.hpp>

#include "runtime/error.h"

namespace {

constexpr const char* format_name = "fractal.cu fractal model";

}  // namespace

void describe(CheckpointWriter& writer, const FractalDescription& description) {
    writer.set("format", format_name);
    writer.set("config", to_json(description.config));
    writer.set("classes", nlohmann::json(description.classes).dump());
    writer.set("step", std::to_string(description.step));
    if (description.ema_decay > 0) writer.set("ema_decay", nlohmann::json(description.ema_decay).dump());
}

FractalDescription read_description(const SafetensorsFile& file) {
    const std::string path = file.path().string();
    if (!file.metadata().contains("format") || file.metadata("format") != format_name)
        fail("{}: not a checkpoint of a fractal model: its metadata does not say \"{}\"", path, format_name);
    FractalDescription description;
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
    return description;
}

std::unique_ptr<FractalModel> load_fractal(const SafetensorsFile& file, Device device,
                                           std::optional<WeightChoice> choice) {
    const FractalDescription description = read_description(file);
    const bool has_average = description.ema_decay > 0;
    if (choice == WeightChoice::average && !has_average)
        fail("{}: holds no averaged weights: it was trained without --ema", file.path().string());
    const bool average = choice ? *choice == WeightChoice::average : has_average;
    auto model = std::make_unique<FractalModel>(description.config, device);
    model->parameters().allocate(device, false);
    load_slab(file, model->parameters(), average ? average_prefix : "", model->parameters().values());
    return model;
}
