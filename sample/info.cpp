// `build/sample info`: description of a checkpoint.
#include <fmt/ranges.h>

#include <memory>
#include <string>

#include "models/metrics/feature_classifier.h"
#include "models/metrics/inception.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "models/text/text_checkpoint.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/base/json_numbers.h"
#include "runtime/base/one_line.h"
#include "runtime/checkpoint/sharded_checkpoint.h"
#include "runtime/files/open_tensor_file.h"
#include "sample/checkpoint_flags.h"
#include "sample/jobs.h"

namespace {

void print_levels(const FractalConfig& config) {
    for (std::size_t level = 0; level < config.generators(); ++level)
        fmt::print("  level {}: {}, {} {} of {}x{} {}, width {}, {} blocks, {} heads\n", level,
                   config.generator_type_list[level], config.tokens(level),
                   config.of_codes() ? "patches" : "tokens", config.patch_size(level),
                   config.patch_size(level), config.of_codes() ? "codes" : "pixels",
                   config.embed_dim_list[level], config.num_blocks_list[level], config.num_heads_list[level]);
    const std::size_t last = config.generators();
    fmt::print("  {}: width {}, {} blocks, {} heads\n", config.of_codes() ? "codes" : "pixels",
               config.embed_dim_list[last], config.num_blocks_list[last], config.num_heads_list[last]);
}

// Which parts of the file were read.
void print_origins(const TensorFile& file) {
    if (const std::string origin = file.origin(""); !origin.empty()) fmt::print("  weights: {}\n", origin);
    if (!has_average(file)) return;
    if (const std::string origin = file.origin(average_prefix); !origin.empty())
        fmt::print("  their average: {}\n", origin);
}

// For a file without the model's metadata.
void print_unknown_model(const TensorFile& file) {
    const auto names = file.names();
    const std::string path = file.path().string();
    fmt::print("{}: {} tensors; does not say which model it is, --preset or --config adds that\n", path,
               names.size());
    for (const auto& [key, value] : file.metadata())
        if (key == "epoch" || key.starts_with("args.")) fmt::print("  {}: {}\n", key, one_line(value));
    print_origins(file);
    for (const std::string& name : names)
        fmt::print("  {} [{}]\n", one_line(name), fmt::join(file.shape(name), ", "));
}

// Names of the first classes, and how many there are.
void print_classes(std::int64_t count, const std::vector<std::string>& names) {
    fmt::print("  {} classes", count);
    const std::size_t shown = std::min<std::size_t>(20, names.size());
    for (std::size_t i = 0; i < shown; ++i)
        fmt::print("{}{} {}", i == 0 ? ": " : ", ", i, one_line(names[i]));
    fmt::print("{}\n", shown < names.size() ? ", ..." : "");
}

// Settings in JSON with numbers as they were given: older files have all digits of the doubles.
std::string settings_text(const std::string& text) {
    auto settings = parse_ordered_json(text);
    if (settings.is_discarded()) return text;
    set_numbers_as_given(settings);
    return json_of_settings(settings);
}

// Contents of the file besides the weights; `first` is a parameter's name.
void print_contents(const TensorFile& file, float ema_decay, std::string_view first) {
    const bool shards = file.metadata().contains(shards_key),
               optimizer = shards || file.contains(std::string(first_moment_prefix) + std::string(first));
    fmt::print(
        "  holds the weights{}{}\n",
        ema_decay > 0       ? fmt::format(", their average (decay {})", ema_decay)
        : has_average(file) ? ", their average"
                            : "",
        optimizer ? shards ? "; the optimizer's state lies in shards beside it" : " and the optimizer's state"
                  : "");
    print_origins(file);
    for (const auto& [key, value] : file.metadata()) {
        if (key.starts_with("validation_")) fmt::print("  {}: {}\n", one_line(key), one_line(value));
        if (key == "training") fmt::print("  training: {}\n", one_line(settings_text(value)));
    }
}

std::string updates_done(const TensorFile& file, std::int64_t steps) {
    return file.metadata().contains("step") ? fmt::format(", {} updates", steps) : "";
}

void print_tokenizer(const TensorFile& file) {
    const TokenizerMetadata metadata = read_tokenizer_metadata(file);
    const TokenizerConfig& config = metadata.config;
    const Tokenizer model(config, Device::cpu);
    const std::int64_t f = config.downsampling();
    fmt::print("{}: tokenizer of {}x{} pixels a token, {} codes of width {}, {} parameters{}\n",
               file.path().string(), f, f, config.n_embed, config.z_channels, model.parameters().count(),
               updates_done(file, metadata.step));
    fmt::print("  {} channel{}, widths", config.in_channels, config.in_channels == 1 ? "" : "s");
    for (std::size_t level = 0; level < config.levels(); ++level) fmt::print(" {}", config.channels(level));
    fmt::print(", {} residual blocks a level\n", config.num_res_blocks);
    if (metadata.image_size > 0) fmt::print("  of {}x{} images\n", metadata.image_size, metadata.image_size);
    print_contents(file, metadata.ema_decay, model.codebook().name);
    fmt::print("  config: {}\n", to_json(config));
}

void print_nat(const TensorFile& file, const std::optional<NatConfig>& given) {
    const NatMetadata metadata = read_nat_metadata(file, given);
    const NatConfig& config = metadata.config;
    const NatTransformer model(config, Device::cpu);
    require_fitting(file, model);
    fmt::print("{}: masked-token transformer of {}x{} tokens, {} codes, {} parameters{}\n",
               file.path().string(), config.img_size, config.img_size, config.codebook_size,
               model.parameters().count(), updates_done(file, metadata.step));
    fmt::print(
        "  width {}, {} + 1 + {} blocks, {} heads{}\n", config.embed_dim, config.depth / 2, config.depth / 2,
        config.num_heads,
        config.patch_size > 1 ? fmt::format(", patches of {}x{}", config.patch_size, config.patch_size) : "");
    if (metadata.tokenizer) fmt::print("  of the tokenizer {:08x}\n", *metadata.tokenizer);
    if (config.takes_texts())
        fmt::print("  of texts: {} features of width {}, {}\n", config.num_clip_token, config.clip_dim,
                   config.text_encoder     ? "its own encoder's, which is trained with it"
                   : metadata.text_encoder ? fmt::format("of the text encoder {:08x}", *metadata.text_encoder)
                                           : "of a text encoder of which the file says nothing");
    else
        print_classes(config.num_classes - 1, metadata.classes);
    print_contents(file, metadata.ema_decay, model.parameters().all().front().name);
    fmt::print("  config: {}\n", to_json(config));
}

void print_text_encoder(const TensorFile& file, const std::optional<TextConfig>& given) {
    const TextMetadata metadata = read_text_metadata(file, given);
    const TextConfig& config = metadata.config;
    const TextEncoder encoder(config, Device::cpu);
    require_fitting(file, encoder);
    fmt::print("{}: text encoder of {} ids, texts of {}, {} parameters{}\n", file.path().string(),
               config.vocab_size, config.context_length, encoder.parameters().count(),
               updates_done(file, metadata.step));
    fmt::print("  width {}, {} blocks, {} heads, {} GELU, padding {}, ids of the tokenizer {}\n",
               config.width, config.layers, config.heads, config.quick_gelu ? "quick" : "exact",
               config.padding_id, config.tokenizer);
    print_origins(file);
    fmt::print("  config: {}\n", to_json(config));
}

void print_features(const TensorFile& file) {
    const FeatureMetadata metadata = read_feature_metadata(file);
    const FeatureConfig& config = metadata.config;
    FeatureClassifier network(config, Device::cpu);
    fmt::print("{}: feature network of {}x{} images, {} channel{}, {} features, {} parameters{}\n",
               file.path().string(), config.image_size, config.image_size, config.channels,
               config.channels == 1 ? "" : "s", config.feature_width(), network.parameters().count(),
               updates_done(file, metadata.step));
    if (config.rotations)
        fmt::print("  trained on four rotations\n");
    else
        print_classes(config.classes, metadata.classes);
    print_contents(file, metadata.ema_decay, network.parameters().all().front().name);
    fmt::print("  config: {}\n", to_json(config));
}

void print_inception(const TensorFile& file) {
    const Inception network(file, InceptionInput::pytorch_fid, Device::cpu);
    fmt::print("{}: Inception-v3, {} features, {} classes: --features of evaluate quality\n",
               file.path().string(), network.feature_width(), network.classes());
    print_origins(file);
}

void run_info(const CheckpointFlags& flags) {
    const std::string& path = flags.checkpoint;
    const auto opened = open_tensor_file(path);
    const TensorFile& file = *opened;
    if (is_tokenizer(file)) return print_tokenizer(file);
    if (holds_nat(file)) return print_nat(file, flags.given_nat_config(file));
    if (model_kind(file) == text_kind) return print_text_encoder(file, flags.given_text_config(file));
    if (model_kind(file) == feature_kind) return print_features(file);
    if (model_kind(file) == inception_kind) return print_inception(file);
    const auto given = flags.given_config(file);
    if (!given && !has_format(file, fractal_kind) && model_kind(file) != shard_kind)
        return print_unknown_model(file);
    const FractalMetadata metadata = read_metadata(file, given);
    const FractalConfig& config = metadata.config;
    const FractalModel model(config, Device::cpu);
    require_fitting(file, model.parameters(), "");
    fmt::print("{}: fractal model of {}, {} parameters{}\n", path, images_of(config),
               model.parameters().count(), updates_done(file, metadata.step));
    if (metadata.tokenizer) fmt::print("  of the tokenizer {:08x}\n", *metadata.tokenizer);
    print_levels(config);
    if (config.class_num == 0) fmt::print("  unlabelled\n");
    if (config.class_num > 0) print_classes(config.class_num, metadata.classes);
    print_contents(file, metadata.ema_decay, "fake_latent");
    fmt::print("  config: {}\n", to_json(config));
}

}  // namespace

void add_info_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand("info", "Describe a checkpoint");
    const auto flags = std::make_shared<CheckpointFlags>();
    command->add_option("FILE", flags->checkpoint, "Checkpoint of a run, or a published .pth")->required();
    add_model_flags(*command, *flags);
    command->callback([flags] { run_info(*flags); });
}
