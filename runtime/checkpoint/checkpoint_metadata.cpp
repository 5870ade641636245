#include "runtime/checkpoint/checkpoint_metadata.h"

#include <charconv>

#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/base/number_text.h"

void write_metadata(CheckpointWriter& writer, std::string_view kind, const std::string& config,
                    const CheckpointMetadata& metadata) {
    writer.set("format", format_of(kind));
    writer.set("config", config);
    if (!metadata.classes.empty()) writer.set("classes", json_of_names(metadata.classes));
    writer.set("step", std::to_string(metadata.step));
    if (metadata.ema_decay > 0) writer.set("ema_decay", number_text(static_cast<double>(metadata.ema_decay)));
}

void read_metadata(
    const TensorFile& file, CheckpointMetadata& metadata,
    const std::function<void(const std::string& json, const std::string& source)>& parse_config) {
    const std::string path = file.path().string();
    const auto read = [&](const char* key, auto& value) {
        if (file.metadata().contains(key))
            parse_value(file.metadata(key), value, fmt::format("{}: {}", path, key));
    };
    try {
        parse_config(file.metadata("config"), path + ": config");
        read("classes", metadata.classes);
        read("step", metadata.step);
        read("ema_decay", metadata.ema_decay);
    } catch (const UsageError& error) {
        throw Error(error.what());
    }
}

void write_fingerprint(CheckpointWriter& writer, const std::string& key,
                       std::optional<std::uint32_t> fingerprint) {
    if (fingerprint) writer.set(key, fmt::format("{:08x}", *fingerprint));
}

std::optional<std::uint32_t> read_fingerprint(const TensorFile& file, const std::string& key,
                                              std::string_view whose) {
    if (!file.metadata().contains(key)) return std::nullopt;
    const std::string text = file.metadata(key);
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (error != std::errc() || end != text.data() + text.size())
        fail("{}: its {} is given as \"{}\", expected a hexadecimal number", file.path().string(), whose,
             text);
    return value;
}

std::vector<std::string> class_names_of(const TensorFile& file) {
    std::vector<std::string> names;
    if (file.metadata().contains("classes"))
        parse_value(file.metadata("classes"), names, file.path().string() + ": classes");
    return names;
}
