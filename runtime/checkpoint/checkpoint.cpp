#include "runtime/checkpoint/checkpoint.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <set>
#include <span>

#include "runtime/base/error.h"
#include "runtime/base/report.h"

namespace {

// Whether a name in a file belongs under `prefix`; "": the weights themselves.
bool belongs(std::string_view name, std::string_view prefix) {
    if (!prefix.empty()) return name.starts_with(prefix);
    return !name.starts_with(first_moment_prefix) && !name.starts_with(second_moment_prefix) &&
           !name.starts_with(average_prefix);
}

void require_shape(const TensorFile& file, const Parameter& parameter, const std::string& name) {
    const std::vector<std::int64_t>& shape = file.shape(name);
    if (shape != parameter.shape)
        fail("{}: tensor {} has shape [{}], expected [{}]", file.path().string(), name,
             fmt::join(shape, ", "), fmt::join(parameter.shape, ", "));
}

// One NaN would turn every number that a model computes into NaN.
void require_finite(const TensorFile& file, const std::string& name, std::span<const float> values) {
    const auto wrong = std::ranges::find_if_not(values, [](float value) { return std::isfinite(value); });
    if (wrong != values.end())
        fail("{}: tensor {} holds {} at element {}, expected finite numbers", file.path().string(), name,
             *wrong, wrong - values.begin());
}

}  // namespace

void load_parameter(const TensorFile& file, const Parameter& parameter, std::string_view prefix,
                    float* values, Device device) {
    const std::string name = std::string(prefix) + parameter.name;
    require_shape(file, parameter, name);
    if (device == Device::cpu) {
        file.read(name, values + parameter.offset);
        return require_finite(file, name,
                              {values + parameter.offset, static_cast<std::size_t>(parameter.count)});
    }
    std::vector<float> host(static_cast<std::size_t>(parameter.count));
    file.read(name, host.data());
    require_finite(file, name, host);
    copy_to_device(device, values + parameter.offset, host.data(), host.size() * sizeof(float));
}

void load_slab(const TensorFile& file, const Parameters& parameters, std::string_view prefix, float* values) {
    for (const Parameter& parameter : parameters.all())
        load_parameter(file, parameter, prefix, values, parameters.device());
}

std::uint32_t weights_checksum(const Parameters& parameters) {
    std::vector<float> values(parameters.slab_floats());
    copy_from_device(parameters.device(), values.data(), parameters.values(), values.size() * sizeof(float));
    return checksum(std::as_bytes(std::span(values)));
}

void require_fitting(const TensorFile& file, const Parameters& parameters, std::string_view prefix,
                     std::string_view optional) {
    std::set<std::string, std::less<>> known{std::string(prefix) + std::string(optional)};
    for (const Parameter& parameter : parameters.all()) {
        const std::string name = std::string(prefix) + parameter.name;
        known.insert(name);
        if (parameter.name != optional) require_shape(file, parameter, name);
    }
    std::string first;
    int more = -1;
    for (const std::string& name : file.names()) {
        if (!belongs(name, prefix) || known.contains(name)) continue;
        if (++more == 0) first = name;
    }
    if (more >= 0)
        fail("{}: holds tensor {}{}, which the model lacks", file.path().string(), first,
             more == 0 ? "" : fmt::format(" and {} more", more));
}

void CheckpointWriter::add_slab(const Parameters& parameters, std::string_view prefix, const float* values) {
    if (parameters.device() == Device::cpu) return add_host_slab(parameters, prefix, values);
    std::vector<float> host(parameters.slab_floats());
    copy_from_device(parameters.device(), host.data(), values, host.size() * sizeof(float));
    add_slab(parameters, prefix, std::move(host));
}

void CheckpointWriter::add_slab(const Parameters& parameters, std::string_view prefix,
                                std::vector<float> values) {
    add_host_slab(parameters, prefix, copies_.emplace_back(std::move(values)).data());
}

void CheckpointWriter::add_host_slab(const Parameters& parameters, std::string_view prefix,
                                     const float* values) {
    for (const Parameter& parameter : parameters.all())
        add(std::string(prefix) + parameter.name, parameter.shape, values + parameter.offset, Device::cpu);
}

void CheckpointWriter::add(std::string name, std::vector<std::int64_t> shape, const float* values,
                           Device device) {
    std::size_t count = 1;
    for (const std::int64_t size : shape) count *= static_cast<std::size_t>(size);
    if (device != Device::cpu) {
        std::vector<float>& host = copies_.emplace_back(count);
        copy_from_device(device, host.data(), values, count * sizeof(float));
        values = host.data();
    }
    tensors_.push_back({std::move(name), "F32", std::move(shape), std::as_bytes(std::span(values, count))});
}

void CheckpointWriter::round_to_bf16(std::string_view kept) {
    for (SafetensorsTensor& tensor : tensors_) {
        if (tensor.name == kept) continue;
        std::vector<bf16>& rounded = rounded_.emplace_back();
        for (std::size_t at = 0; at < tensor.data.size(); at += sizeof(float)) {
            float value;
            std::memcpy(&value, tensor.data.data() + at, sizeof(value));
            rounded.push_back(nearest_bf16(value));
        }
        tensor.dtype = "BF16";
        tensor.data = std::as_bytes(std::span(rounded));
    }
}

void CheckpointWriter::write(const std::filesystem::path& path) {
    for (const SafetensorsTensor& tensor : tensors_)
        set(std::string(checksum_prefix) + tensor.name, fmt::format("{:08x}", checksum(tensor.data)));
    write_safetensors(path, tensors_, metadata_);
}

bool has_average(const TensorFile& file) {
    return std::ranges::any_of(file.names(),
                               [](const std::string& name) { return name.starts_with(average_prefix); });
}

std::string_view chosen_prefix(const TensorFile& file, std::optional<WeightChoice> choice) {
    const bool average = choice ? *choice == WeightChoice::average : has_average(file);
    if (average && !has_average(file))
        fail("{}: holds no averaged weights: it was trained without --ema, or they were left out",
             file.path().string());
    return average ? average_prefix : "";
}

void report_origin(std::string_view program, const TensorFile& file, std::string_view prefix) {
    if (const std::string origin = file.origin(prefix); !origin.empty())
        report_line(program, fmt::format("{}: weights read from {}", file.path().string(), origin));
}

void load_weights(const TensorFile& file, Parameters& parameters, Backend backend,
                  std::optional<WeightChoice> choice, std::string_view optional) {
    const std::string_view prefix = chosen_prefix(file, choice);
    require_fitting(file, parameters, prefix, optional);
    parameters.allocate(backend, false);
    load_slab(file, parameters, prefix, parameters.values());
    parameters.round_values();
}
