#include "runtime/checkpoint.h"

#include <zlib.h>

#include <fmt/ranges.h>

#include <cstring>

#include "runtime/error.h"

namespace {

const std::string checksum_key = "crc32/";  // + tensor name

std::uint32_t checksum(std::span<const std::byte> data) {
    return static_cast<std::uint32_t>(
        crc32_z(crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

void require_undamaged(const SafetensorsFile& file, const std::string& name,
                       std::span<const std::byte> data) {
    const auto stored = file.metadata().find(checksum_key + name);
    if (stored != file.metadata().end() && stored->second != fmt::format("{:08x}", checksum(data)))
        fail("{}: tensor {} is damaged: its CRC-32 is {:08x}, stored with it is {}", file.path().string(),
             name, checksum(data), stored->second);
}

}  // namespace

void load_parameter(const SafetensorsFile& file, const Parameter& parameter, std::string_view prefix,
                    float* values) {
    const std::string name = std::string(prefix) + parameter.name;
    const SafetensorsEntry& entry = file.entry(name);
    if (entry.shape != parameter.shape)
        fail("{}: tensor {} has shape [{}], expected [{}]", file.path().string(), name,
             fmt::join(entry.shape, ", "), fmt::join(parameter.shape, ", "));
    if (entry.dtype != "F32")
        fail("{}: tensor {} has dtype {}, expected F32", file.path().string(), name, entry.dtype);
    const auto data = file.bytes(name);
    require_undamaged(file, name, data);
    std::memcpy(values + parameter.offset, data.data(), data.size());
}

void load_slab(const SafetensorsFile& file, const Parameters& parameters, std::string_view prefix,
               float* values) {
    for (const Parameter& parameter : parameters.all()) load_parameter(file, parameter, prefix, values);
}

void CheckpointWriter::add_slab(const Parameters& parameters, std::string_view prefix, const float* values) {
    for (const Parameter& parameter : parameters.all())
        tensors_.push_back(
            {std::string(prefix) + parameter.name, "F32", parameter.shape,
             std::as_bytes(std::span(values + parameter.offset, static_cast<std::size_t>(parameter.count)))});
}

void CheckpointWriter::write(const std::filesystem::path& path) {
    for (const SafetensorsTensor& tensor : tensors_)
        set(checksum_key + tensor.name, fmt::format("{:08x}", checksum(tensor.data)));
    write_safetensors(path, tensors_, metadata_);
}
