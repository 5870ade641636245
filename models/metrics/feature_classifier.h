// A small classifier whose last hidden layer takes Inception's place where its weights are not at hand:
// `build/train features` trains it on the data whose generated pictures are to be measured. A distance of such
// features is a Frechet distance (FD), comparable only under the same network.
//
//   conv 3 x 3 -> three stages at full, half and quarter size, of two residual blocks each
//   -> GroupNorm, swish, mean over positions: the features -> linear to the classes
//
// A residual block is x + conv(swish(norm(conv(swish(norm(x)))))), x through a 1 x 1 convolution where the number
// of channels changes (He et al. 2016, "Identity Mappings in Deep Residual Networks", arXiv 1603.05027).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/metrics/feature_network.h"
#include "runtime/checkpoint/checkpoint_metadata.h"
#include "runtime/tensor/parameters.h"

struct FeatureConfig {
    std::int64_t image_size = 32, channels = 3;
    std::int64_t width = 32;   // channels of the first stage; the second has twice as many, the third 4 times
    std::int64_t classes = 4;  // of pictures or, without classes, the four rotations
    bool rotations = false;    // the classes are rotations by 0, 90, 180 and 270 degrees

    std::int64_t feature_width() const { return 4 * width; }
    // Throws UsageError naming the key, its value and the expected values. `source` starts the message.
    void validate(std::string_view source) const;

    bool operator==(const FeatureConfig&) const = default;
};

// JSON with the keys named as the members. Throws UsageError for unknown, missing or malformed keys.
FeatureConfig parse_feature_config(std::string_view json, std::string_view source);
std::string to_json(const FeatureConfig& config);

struct FeaturePreset {
    std::string_view name, description;
    std::int64_t image_size, width;
};
std::span<const FeaturePreset> feature_presets();
// Throws UsageError listing the names there are.
const FeaturePreset& feature_preset(std::string_view name);

class FeatureClassifier : public FeatureNetwork {
  public:
    // Registers the parameters; the caller allocates them.
    FeatureClassifier(const FeatureConfig& config, Backend backend);

    const FeatureConfig& config() const { return config_; }
    Parameters& parameters() { return parameters_; }

    bool inception() const override { return false; }
    Backend backend() const override { return backend_; }
    std::int64_t channels() const override { return config_.channels; }
    std::int64_t feature_width() const override { return config_.feature_width(); }
    std::int64_t classes() const override { return config_.classes; }
    std::uint32_t fingerprint() const override;
    void require_fitting(std::int64_t channels, MapSize size, std::string_view source) const override;
    // Without logits: an Inception score is of Inception's classes.
    NetworkOutput forward(Tape& tape, const Tensor& pictures, MapSize size) const override;

    // Logits of the classes [B, classes] of the same pictures. While the tape records, gradients flow to the
    // parameters.
    Tensor class_logits(Tape& tape, const Tensor& pictures) const;

  private:
    struct Norm {
        const Parameter *weight, *bias;
    };
    struct Block {
        Norm norm1, norm2;
        const Parameter *conv1, *conv2, *shortcut;  // the last null where the channels stay
    };

    const Parameter* add(const std::string& name, std::vector<std::int64_t> shape, Init init) {
        return &parameters_.add(name, std::move(shape), init);
    }
    Norm add_norm(const std::string& name, std::int64_t channels);
    Block add_block(const std::string& name, std::int64_t in, std::int64_t out);
    Tensor normalised(Tape& tape, const Tensor& x, MapSize size, const Norm& norm) const;
    Tensor through(Tape& tape, const Tensor& x, MapSize size, const Block& block) const;
    Tensor features_of(Tape& tape, const Tensor& pictures) const;

    FeatureConfig config_;
    Backend backend_;
    Parameters parameters_;
    const Parameter *first_ = nullptr, *classifier_ = nullptr, *classifier_bias_ = nullptr;
    std::vector<std::vector<Block>> stages_;
    Norm last_norm_{};
};

struct FeatureMetadata : CheckpointMetadata {
    FeatureConfig config;
};
void write_metadata(CheckpointWriter& writer, const FeatureMetadata& metadata);
// Throws Error naming the file if it holds no feature network or a malformed one.
FeatureMetadata read_feature_metadata(const TensorFile& file);

// A network for measuring, the averaged weights if the file has them. Throws Error naming the first tensor that
// does not fit.
std::unique_ptr<FeatureClassifier> load_feature_classifier(const TensorFile& file, Backend backend);
