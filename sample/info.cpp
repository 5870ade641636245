// `build/sample info`: what a checkpoint is.
#include <fmt/ranges.h>

#include <memory>
#include <string>

#include "runtime/error.h"
#include "runtime/sharded_checkpoint.h"
#include "sample/checkpoint_flags.h"
#include "sample/jobs.h"

namespace {

void print_levels(const FractalConfig& config) {
    for (std::size_t level = 0; level < config.generators(); ++level)
        fmt::print("  level {}: {}, {} tokens of {}x{} pixels, width {}, {} blocks, {} heads\n", level,
                   config.generator_type_list[level], config.tokens(level), config.patch_size(level),
                   config.patch_size(level), config.embed_dim_list[level], config.num_blocks_list[level],
                   config.num_heads_list[level]);
    const std::size_t last = config.generators();
    fmt::print("  pixels: width {}, {} blocks, {} heads\n", config.embed_dim_list[last],
               config.num_blocks_list[last], config.num_heads_list[last]);
}

// Of a file that does not say its model.
void print_unknown_model(const TensorFile& file) {
    const auto names = file.names();
    const std::string path = file.path().string();
    fmt::print("{}: {} tensors; does not say which model it is, --preset or --config adds that\n", path,
               names.size());
    for (const auto& [key, value] : file.metadata())
        if (key == "epoch" || key.starts_with("args.")) fmt::print("  {}: {}\n", key, value);
    for (const std::string& name : names) fmt::print("  {} [{}]\n", name, fmt::join(file.shape(name), ", "));
}

void run_info(const CheckpointFlags& flags) {
    const std::string& path = flags.checkpoint;
    const auto opened = open_tensor_file(path);
    const TensorFile& file = *opened;
    const auto given = flags.given_config(file);
    if (!given && !file.metadata().contains("format")) return print_unknown_model(file);
    const FractalDescription description = read_description(file, given);
    const FractalConfig& config = description.config;
    const FractalModel model(config, Device::cpu);
    require_fitting(file, model.parameters(), "");
    fmt::print("{}: fractal model of {}x{} images, {} channel{}, {} parameters{}\n", path,
               config.image_size(), config.image_size(), config.channels, config.channels == 1 ? "" : "s",
               model.parameters().count(),
               file.metadata().contains("step") ? fmt::format(", {} updates", description.step) : "");
    print_levels(config);
    if (config.class_num == 0) fmt::print("  unlabelled\n");
    if (config.class_num > 0) {
        fmt::print("  {} classes", config.class_num);
        const std::size_t shown = std::min<std::size_t>(20, description.classes.size());
        for (std::size_t i = 0; i < shown; ++i)
            fmt::print("{}{} {}", i == 0 ? ": " : ", ", i, description.classes[i]);
        fmt::print("{}\n", shown < description.classes.size() ? ", ..." : "");
    }
    const bool shards = file.metadata().contains(shards_key),
               optimizer = shards || file.contains(std::string(first_moment_prefix) + "fake_latent");
    fmt::print(
        "  holds the weights{}{}\n",
        description.ema_decay > 0 ? fmt::format(", their average (decay {})", description.ema_decay)
        : has_average(file)       ? ", their average"
                                  : "",
        optimizer ? shards ? "; the optimizer's state lies in shards beside it" : " and the optimizer's state"
                  : "");
    for (const char* key : {"validation_bits_per_dim", "training"})
        if (file.metadata().contains(key)) fmt::print("  {}: {}\n", key, file.metadata(key));
    fmt::print("  config: {}\n", to_json(config));
}

}  // namespace

void add_info_job(CLI::App& app) {
    CLI::App* command = app.add_subcommand("info", "Describe a checkpoint");
    const auto flags = std::make_shared<CheckpointFlags>();
    command->add_option("FILE", flags->checkpoint, "Checkpoint of a run, or a published .pth")->required();
    add_model_flags(*command, *flags);
    command->callback([flags] { run_info(*flags); });
}
