#include "runtime/checkpoint.h"

#include <zlib.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/error.h"

namespace {

std::uint32_t checksum(std::span<const std::byte> data) {
    return static_cast<std::uint32_t>(
        crc32_z(crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

nlohmann::json stored_checksums(const SafetensorsFile& file) {
    if (!file.metadata().contains("crc32")) return nlohmann::json::object();
    nlohmann::json json = nlohmann::json::parse(file.metadata("crc32"), nullptr, false);
    if (!json.is_object()) fail("{}: the metadata crc32 is not a JSON object", file.path().string());
    return json;
}

}  // namespace

void load_slab(const SafetensorsFile& file, const Parameters& parameters, std::string_view prefix, float* values) {
    const nlohmann::json checksums = stored_checksums(file);
    for (const Parameter& parameter : parameters.all()) {
        const std::string name = std::string(prefix) + parameter.name;
        const SafetensorsEntry& entry = file.entry(name);
        if (entry.shape != parameter.shape)
            fail("{}: tensor {} has shape {}, expected {}", file.path().string(), name, nlohmann::json(entry.shape).dump(),
                 nlohmann::json(parameter.shape).dump());
        if (entry.dtype != "F32") fail("{}: tensor {} has dtype {}, expected F32", file.path().string(), name, entry.dtype);
        const auto data = file.bytes(name);
        if (checksums.contains(name) && checksums[name] != checksum(data))
            fail("{}: tensor {} is damaged: its CRC-32 differs from the one stored with it", file.path().string(), name);
        std::memcpy(values + parameter.offset, data.data(), data.size());
    }
}

void CheckpointWriter::add_slab(const Parameters& parameters, std::string_view prefix, const float* values) {
    for (const Parameter& parameter : parameters.all())
        tensors_.push_back({std::string(prefix) + parameter.name, "F32", parameter.shape,
                            std::as_bytes(std::span(values + parameter.offset, static_cast<std::size_t>(parameter.count)))});
}

void CheckpointWriter::write(const std::filesystem::path& path) {
    nlohmann::json checksums;
    for (const SafetensorsTensor& tensor : tensors_) checksums[tensor.name] = checksum(tensor.data);
    set("crc32", checksums.dump());
    write_safetensors(path, tensors_, metadata_);
}
