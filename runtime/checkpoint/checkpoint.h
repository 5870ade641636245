// Parameters to and from safetensors files, under their published names.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/bf16.h"
#include "runtime/files/safetensors.h"
#include "runtime/tensor/parameters.h"

// Reads tensor PREFIX + parameter.name into the parameter's slot of `values`, a slab on `device`. Throws
// Error naming the tensor if it is missing, has another shape than expected, cannot be read, or holds a
// number that is not finite.
void load_parameter(const TensorFile& file, const Parameter& parameter, std::string_view prefix,
                    float* values, Device device);
// The same for all parameters.
void load_slab(const TensorFile& file, const Parameters& parameters, std::string_view prefix, float* values);
// Checks names and shapes only: throws Error naming the first parameter that is missing or has another shape,
// or else a tensor under the prefix that is no parameter. The tensor named `optional`, a parameter or not, may
// be missing or differ.
void require_fitting(const TensorFile& file, const Parameters& parameters, std::string_view prefix,
                     std::string_view optional = "");

// CRC-32 of all values: equal for equal weights.
std::uint32_t weights_checksum(const Parameters& parameters);

// Collects the tensors and metadata of a checkpoint: slabs in the parameters' layout, each under a prefix.
class CheckpointWriter {
  public:
    // `values`, on the parameters' device, must not change until write() has returned.
    void add_slab(const Parameters& parameters, std::string_view prefix, const float* values);
    // The same with values in host memory.
    void add_slab(const Parameters& parameters, std::string_view prefix, std::vector<float> values);
    // One fp32 tensor on `device`; `values` must stay until write() has returned.
    void add(std::string name, std::vector<std::int64_t> shape, const float* values, Device device);
    // Rounds the tensors added so far, but that of the name `kept`, to bf16, in which they are then stored: half the
    // bytes.
    void round_to_bf16(std::string_view kept);
    void set(std::string key, std::string value) { metadata_[std::move(key)] = std::move(value); }
    // Atomic. The metadata hold a CRC-32 for each tensor ("crc32/NAME", 8 hexadecimal digits).
    void write(const std::filesystem::path& path);

  private:
    void add_host_slab(const Parameters& parameters, std::string_view prefix, const float* values);

    std::vector<SafetensorsTensor> tensors_;
    std::deque<std::vector<float>> copies_;  // host copies of slabs on the GPU, and slabs passed by value
    std::deque<std::vector<bf16>> rounded_;
    std::map<std::string, std::string> metadata_;
};

enum class WeightChoice { newest, average };  // the weights as trained, or their moving average
bool has_average(const TensorFile& file);
// Prefix of the chosen weights; without a choice, of the average if the file has one. Throws Error if the
// average is chosen and missing.
std::string_view chosen_prefix(const TensorFile& file, std::optional<WeightChoice> choice);
// Says in one line on stderr which part of the file the weights under `prefix` were, where that is not plain:
// TensorFile::origin().
void report_origin(std::string_view program, const TensorFile& file, std::string_view prefix);
// Allocates the parameters without gradients and reads the chosen weights. Throws Error naming the first
// tensor that does not fit; `optional`, no parameter, may be there.
void load_weights(const TensorFile& file, Parameters& parameters, Backend backend,
                  std::optional<WeightChoice> choice, std::string_view optional = "");
