// `build/sample info`: what a checkpoint is.
#include <fmt/ranges.h>

#include <memory>
#include <string>

#include "models/fractal/checkpoint.h"
#include "runtime/error.h"
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

void run_info(const std::string& path) {
    const SafetensorsFile file(path);
    const FractalDescription description = read_description(file);
    const FractalConfig& config = description.config;
    const FractalModel model(config, Device::cpu);
    fmt::print("{}: fractal model of {}x{} images, {} channel{}, {} parameters, {} updates\n", path,
               config.image_size(), config.image_size(), config.channels, config.channels == 1 ? "" : "s",
               model.parameters().count(), description.step);
    print_levels(config);
    if (config.class_num == 0) fmt::print("  unlabelled\n");
    if (config.class_num > 0) {
        fmt::print("  {} classes", config.class_num);
        const std::size_t shown = std::min<std::size_t>(20, description.classes.size());
        for (std::size_t i = 0; i < shown; ++i)
            fmt::print("{}{} {}", i == 0 ? ": " : ", ", i, description.classes[i]);
        fmt::print("{}\n", shown < description.classes.size() ? ", ..." : "");
    }
    const bool optimizer = file.contains(std::string(first_moment_prefix) + "fake_latent");
    fmt::print(
        "  holds the weights{}{}\n",
        description.ema_decay > 0 ? fmt::format(", their average (decay {})", description.ema_decay) : "",
        optimizer ? " and the optimizer's state" : "");
    for (const char* key : {"validation_bits_per_dim", "training"})
        if (file.metadata().contains(key)) fmt::print("  {}: {}\n", key, file.metadata(key));
    fmt::print("  config: {}\n", file.metadata("config"));
}

}  // namespace

void add_info_job(CLI::App& app) {
    CLI::App* command = app.add_subcommand("info", "Describe a checkpoint");
    const auto path = std::make_shared<std::string>();
    command->add_option("FILE", *path, "Checkpoint")->required();
    command->callback([path] { run_info(*path); });
}
