#include "runtime/checkpoint/checkpoint_metadata.h"

#include "runtime/base/json_keys.h"

void describe(CheckpointWriter& writer, std::string_view format, const std::string& config,
              const Description& description) {
    writer.set("format", std::string(format));
    writer.set("config", config);
    if (!description.classes.empty()) writer.set("classes", json_of_names(description.classes));
    writer.set("step", std::to_string(description.step));
    if (description.ema_decay > 0) writer.set("ema_decay", nlohmann::json(description.ema_decay).dump());
}

bool says_format(const TensorFile& file, std::string_view format) {
    const auto said = file.metadata().find("format");
    return said != file.metadata().end() && said->second == format;
}

void read_description(
    const TensorFile& file, Description& description,
    const std::function<void(const std::string& json, const std::string& source)>& parse_config) {
    const std::string path = file.path().string();
    const auto read = [&](const char* key, auto& value) {
        if (file.metadata().contains(key))
            parse_value(file.metadata(key), value, fmt::format("{}: {}", path, key));
    };
    try {
        parse_config(file.metadata("config"), path + ": config");
        read("classes", description.classes);
        read("step", description.step);
        read("ema_decay", description.ema_decay);
    } catch (const UsageError& error) {
        throw Error(error.what());
    }
}
