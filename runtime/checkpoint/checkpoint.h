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

#include "runtime/files/safetensors.h"
#include "runtime/tensor/parameters.h"

// Reads a tensor that the file names PREFIX + the parameter's name into its place in the slab `values`.
// which lies on `device`. Throws Error naming the tensor if it is missing, has another shape than expected,
// cannot be read, or holds a number that is not finite.
void load_parameter(const TensorFile& file, const Parameter& parameter, std::string_view prefix,
                    float* values, Device device);
// The same for all of them.
void load_slab(const TensorFile& file, const Parameters& parameters, std::string_view prefix, float* values);
// Before anything is read: throws Error naming the first parameter that the file lacks or has in another
// shape, or, if there is none, a tensor under the prefix that is no parameter. The parameter named `optional`
// may be missing or differ.
void require_fitting(const TensorFile& file, const Parameters& parameters, std::string_view prefix,
                     std::string_view optional = "");

// A checkpoint while it is put together: slabs of the parameters' layout under a prefix each.
class CheckpointWriter {
  public:
    // `values`, on the parameters' device, must stay as they are until write() has returned.
    void add_slab(const Parameters& parameters, std::string_view prefix, const float* values);
    // The same with values that lie on the host.
    void add_slab(const Parameters& parameters, std::string_view prefix, std::vector<float> values);
    // One fp32 tensor on `device`; `values` must stay until write() has returned.
    void add(std::string name, std::vector<std::int64_t> shape, const float* values, Device device);
    void set(std::string key, std::string value) { metadata_[std::move(key)] = std::move(value); }
    // With a CRC-32 per tensor in the metadata ("crc32/NAME", 8 hexadecimal digits); whole or not at all.
    void write(const std::filesystem::path& path);

  private:
    void add_host_slab(const Parameters& parameters, std::string_view prefix, const float* values);

    std::vector<SafetensorsTensor> tensors_;
    std::deque<std::vector<float>> copies_;  // of slabs that lie on the GPU, and slabs handed over
    std::map<std::string, std::string> metadata_;
};

// Prefixes of what else a training run keeps per parameter.
inline constexpr std::string_view first_moment_prefix = "optimizer.exp_avg.";
inline constexpr std::string_view second_moment_prefix = "optimizer.exp_avg_sq.";
inline constexpr std::string_view average_prefix = "ema.";

enum class WeightChoice { newest, average };  // the weights as trained, or their moving average
bool has_average(const TensorFile& file);
// The prefix of the tensors to take. Without a choice the average is taken if there is one. Throws Error if
// there is none but it was asked for.
std::string_view chosen_prefix(const TensorFile& file, std::optional<WeightChoice> choice);
// Allocates the parameters of a model that is not trained (no gradients) and reads the chosen weights. Throws
// Error, naming the first tensor that does not fit.
void load_weights(const TensorFile& file, Parameters& parameters, Backend backend,
                  std::optional<WeightChoice> choice);
