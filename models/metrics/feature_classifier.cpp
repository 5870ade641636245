#include "models/metrics/feature_classifier.h"

#include "runtime/base/config_checks.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/device/profile.h"
#include "runtime/ops/feature_ops.h"
#include "runtime/ops/image_ops.h"
#include "runtime/ops/ops.h"

namespace {

constexpr std::int64_t groups = 8, blocks_per_stage = 2, stages = 3, rotation_count = 4;
constexpr float epsilon = 1e-6f;

}  // namespace

// ---- configuration ----------------------------------------------------------------------------------------

void FeatureConfig::validate(std::string_view source) const {
    require_key_range(source, "image_size", image_size, 4, 1024);
    if (image_size % 4 != 0)
        fail_usage("{}: image_size is {}, expected a multiple of 4: the stages halve it twice", source,
                   image_size);
    if (channels != 1 && channels != 3) fail_usage("{}: channels is {}, expected 1 or 3", source, channels);
    require_key_range(source, "width", width, groups, 1024);
    if (width % groups != 0) fail_usage("{}: width is {}, expected a multiple of {}", source, width, groups);
    require_key_range(source, "classes", classes, 2, 100'000);
    if (rotations && classes != rotation_count)
        fail_usage("{}: classes is {}, expected {} rotations", source, classes, rotation_count);
}

FeatureConfig parse_feature_config(std::string_view text, std::string_view source) {
    const nlohmann::json json =
        parse_json_object(text, source, {"image_size", "channels", "width", "classes", "rotations"});
    FeatureConfig config;
    read_key(json, "image_size", config.image_size, true, source);
    read_key(json, "channels", config.channels, true, source);
    read_key(json, "width", config.width, true, source);
    read_key(json, "classes", config.classes, true, source);
    read_key(json, "rotations", config.rotations, false, source);
    config.validate(source);
    return config;
}

std::string to_json(const FeatureConfig& config) {
    return json_text(nlohmann::ordered_json{{"image_size", config.image_size},
                                            {"channels", config.channels},
                                            {"width", config.width},
                                            {"classes", config.classes},
                                            {"rotations", config.rotations}});
}

std::span<const FeaturePreset> feature_presets() {
    static const std::vector<FeaturePreset> presets{
        {"features_16", "16x16 images, the built-in fractals", 16, 32},
        {"features_32", "32x32 images, CIFAR-10", 32, 32},
        {"features_64", "64x64 images", 64, 32},
    };
    return presets;
}

const FeaturePreset& feature_preset(std::string_view name) {
    return preset_named(feature_presets(), name);
}

// ---- the network ------------------------------------------------------------------------------------------

FeatureClassifier::FeatureClassifier(const FeatureConfig& config, Backend backend)
    : config_(config), backend_(backend) {
    first_ = add("conv_in.weight", {config_.width, config_.channels, 3, 3}, Init::fan_in);
    std::int64_t in = config_.width;
    for (std::int64_t stage = 0; stage < stages; ++stage) {
        const std::int64_t out = config_.width << stage;
        stages_.emplace_back();
        for (std::int64_t i = 0; i < blocks_per_stage; ++i, in = out)
            stages_.back().push_back(add_block(fmt::format("stages.{}.{}", stage, i), in, out));
    }
    last_norm_ = add_norm("norm_out", in);
    classifier_ = add("classifier.weight", {config_.classes, in}, Init::fan_in);
    classifier_bias_ = add("classifier.bias", {config_.classes}, Init::zeros);
}

FeatureClassifier::Norm FeatureClassifier::add_norm(const std::string& name, std::int64_t channels) {
    return {add(name + ".weight", {channels}, Init::ones), add(name + ".bias", {channels}, Init::zeros)};
}

FeatureClassifier::Block FeatureClassifier::add_block(const std::string& name, std::int64_t in,
                                                      std::int64_t out) {
    Block block{};
    block.norm1 = add_norm(name + ".norm1", in);
    block.conv1 = add(name + ".conv1.weight", {out, in, 3, 3}, Init::fan_in);
    block.norm2 = add_norm(name + ".norm2", out);
    block.conv2 = add(name + ".conv2.weight", {out, out, 3, 3}, Init::fan_in);
    if (in != out) block.shortcut = add(name + ".shortcut.weight", {out, in, 1, 1}, Init::fan_in);
    return block;
}

Tensor FeatureClassifier::normalised(Tape& tape, const Tensor& x, MapSize size, const Norm& norm) const {
    return groupnorm(tape, x, size.height * size.width, *norm.weight, *norm.bias, groups, epsilon,
                     Activation::swish);
}

Tensor FeatureClassifier::through(Tape& tape, const Tensor& x, MapSize size, const Block& block) const {
    Tensor h = conv2d(tape, normalised(tape, x, size, block.norm1), size, *block.conv1, nullptr, 1, 1);
    h = conv2d(tape, normalised(tape, h, size, block.norm2), size, *block.conv2, nullptr, 1, 1);
    return add_maps(tape, block.shortcut == nullptr ? x : linear(tape, x, *block.shortcut, nullptr), h);
}

Tensor FeatureClassifier::features_of(Tape& tape, const Tensor& pictures) const {
    const ProfileRange range("feature network");
    MapSize size{config_.image_size, config_.image_size};
    // Of its own size, the picture stays as it is: channels last, from -1 to 1.
    Tensor x = bilinear_resize(tape, pictures, size, size, PixelCentres::half_pixel, 1 / 127.5f, -1);
    x = conv2d(tape, x, size, *first_, nullptr, 1, 1);
    for (std::size_t stage = 0; stage < stages_.size(); ++stage) {
        if (stage > 0) {
            x = average_pool(tape, x, size);
            size = {size.height / 2, size.width / 2};
        }
        for (const Block& block : stages_[stage]) x = through(tape, x, size, block);
    }
    return position_mean(tape, normalised(tape, x, size, last_norm_), size.height * size.width);
}

NetworkOutput FeatureClassifier::forward(Tape& tape, const Tensor& pictures, MapSize) const {
    return {features_of(tape, pictures), {}};
}

Tensor FeatureClassifier::class_logits(Tape& tape, const Tensor& pictures) const {
    return linear(tape, features_of(tape, pictures), *classifier_, classifier_bias_);
}

std::uint32_t FeatureClassifier::fingerprint() const {
    return weights_checksum(parameters_);
}

void FeatureClassifier::require_fitting(std::int64_t channels, MapSize size, std::string_view source) const {
    const std::int64_t side = config_.image_size;
    if (channels != config_.channels || size != MapSize{side, side})
        fail_usage("{}: images of {}x{} with {} channels; the feature network was trained on {}x{} with {}",
                   source, size.width, size.height, channels, side, side, config_.channels);
}

// ---- checkpoints ------------------------------------------------------------------------------------------

void write_metadata(CheckpointWriter& writer, const FeatureMetadata& metadata) {
    write_metadata(writer, feature_kind, to_json(metadata.config), metadata);
}

FeatureMetadata read_feature_metadata(const TensorFile& file) {
    require_kind(file, feature_kind);
    if (!has_format(file, feature_kind))
        fail("{}: neither a feature network (build/train features) nor the weights of Inception-v3",
             file.path().string());
    FeatureMetadata metadata;
    read_metadata(file, metadata, [&](const std::string& json, const std::string& source) {
        metadata.config = parse_feature_config(json, source);
    });
    return metadata;
}

std::unique_ptr<FeatureClassifier> load_feature_classifier(const TensorFile& file, Backend backend) {
    const FeatureMetadata metadata = read_feature_metadata(file);
    auto network = std::make_unique<FeatureClassifier>(metadata.config, backend);
    load_weights(file, network->parameters(), backend, std::nullopt);
    return network;
}
