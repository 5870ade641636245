#include "sample/nat_drawing.h"

#include "data/records/tokens.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/files/open_tensor_file.h"

namespace {

constexpr std::int64_t default_steps = 8;
constexpr double default_scale = 1;

// Throws Error unless the tokens that the one predicts are the other's.
void require_matching(const TensorFile& checkpoint, const NatMetadata& metadata,
                      const std::string& tokenizer_path, const TokenizerMetadata& tokenizer) {
    const std::string path = checkpoint.path().string();
    if (metadata.config.codebook_size != tokenizer.config.n_embed)
        fail("{}: predicts {} codes, but the codebook of {} has {}", path, metadata.config.codebook_size,
             tokenizer_path, tokenizer.config.n_embed);
    const std::int64_t f = tokenizer.config.downsampling();
    if (tokenizer.image_size > 0 && tokenizer.image_size != f * metadata.config.img_size)
        fail("{}: predicts {}x{} tokens, but {} makes {}x{} of its pictures of {}x{} pixels", path,
             metadata.config.img_size, metadata.config.img_size, tokenizer_path, tokenizer.image_size / f,
             tokenizer.image_size / f, tokenizer.image_size, tokenizer.image_size);
}

}  // namespace

std::vector<NamedPath> NatDrawFlags::inputs() const {
    std::vector<NamedPath> files{{"--tokenizer", tokenizer}};
    if (strategy != "maskgit") files.push_back({"--strategy", strategy});
    return files;
}

Strategy NatDrawFlags::choose_strategy(bool labelled) const {
    if (largest_scale && *largest_scale != 0 && !labelled)
        fail_usage("--cfg-max {}: the model has no classes, expected 0", *largest_scale);
    if (strategy == "maskgit")
        return maskgit_strategy(steps.value_or(default_steps),
                                largest_scale.value_or(labelled ? default_scale : 0));
    if (largest_scale) fail_usage("--cfg-max {}: {} holds its own guidance scales", *largest_scale, strategy);
    Strategy read = read_strategy(strategy);
    if (steps && *steps != read.steps())
        fail_usage("--steps {}: {} is a strategy of {} steps", *steps, strategy, read.steps());
    return read;
}

NatModels load_nat_models(const CheckpointFlags& checkpoint, const std::string& tokenizer, Backend backend) {
    const auto file = open_tensor_file(checkpoint.checkpoint);
    NatModels models{read_nat_metadata(*file, checkpoint.given_nat_config(*file)), nullptr, nullptr};
    const auto tokenizer_file = open_tensor_file(tokenizer);
    require_matching(*file, models.metadata, tokenizer, read_tokenizer_metadata(*tokenizer_file));
    models.tokenizer = load_tokenizer(*tokenizer_file, backend);
    require_tokenizer(
        *file, models.metadata,
        tokenizer_fingerprint(codebook_values(*models.tokenizer), models.metadata.config.codebook_size),
        tokenizer);
    models.transformer = load_nat(*file, models.metadata.config, backend, checkpoint.weight_choice());
    report_origin("sample", *file, chosen_prefix(*file, checkpoint.weight_choice()));
    report_origin("sample", *tokenizer_file, tokenizer_prefix(*tokenizer_file));
    return models;
}

Option* add_nat_draw_flags(CommandLine& command, NatDrawFlags& flags) {
    Option* const tokenizer =
        command.add_option("--tokenizer", flags.tokenizer, "Tokenizer whose codes the transformer predicts")
            ->type_name("FILE");
    command
        .add_option(
            "--steps", flags.steps,
            fmt::format("Steps of maskgit (default {}); a strategy file has its own number", default_steps))
        ->check(within(std::int64_t{1}, max_decoding_steps));
    command
        .add_option("--strategy", flags.strategy,
                    "maskgit (its heuristics), or a file: JSON as models/nat/autonat_l_8.json, or YAML as "
                    "published")
        ->type_name("NAME|FILE")
        ->capture_default_str();
    command.add_option(
        "--cfg-max", flags.largest_scale,
        fmt::format("Guidance scale that maskgit reaches at its last step (default {}); 0 is no guidance and "
                    "takes half the time. Logits are c + s (c - u), so s here is --cfg 1 + s elsewhere",
                    default_scale));
    return tokenizer;
}
