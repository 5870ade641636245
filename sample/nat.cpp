// `build/sample nat`: draws images from a masked-token transformer by parallel decoding.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/records/tokens.h"
#include "models/nat/generate.h"
#include "models/nat/pictures.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/device/backend_flags.h"
#include "sample/checkpoint_flags.h"
#include "sample/drawn_images.h"
#include "sample/jobs.h"
#include "sample/trace.h"

namespace {

constexpr std::int64_t default_steps = 8;
constexpr double default_scale = 1;

struct NatJob {
    CheckpointFlags checkpoint;
    BackendFlags backend;
    std::string tokenizer, strategy = "maskgit";
    DrawnImagesFlags images;
    std::optional<std::int64_t> steps;
    std::optional<double> largest_scale;
    std::uint64_t seed = 0;
};

// The transformer and the tokenizer of its codes, with their metadata.
struct Models {
    NatMetadata metadata;
    std::unique_ptr<NatTransformer> transformer;
    std::unique_ptr<Tokenizer> tokenizer;

    std::int64_t side() const { return metadata.config.img_size; }
    std::int64_t image_size() const { return side() * tokenizer->config().downsampling(); }
};

Strategy choose_strategy(const NatJob& job, bool labelled) {
    if (job.largest_scale && *job.largest_scale != 0 && !labelled)
        fail_usage("--cfg-max {}: the model has no classes, expected 0", *job.largest_scale);
    if (job.strategy == "maskgit")
        return maskgit_strategy(job.steps.value_or(default_steps),
                                job.largest_scale.value_or(labelled ? default_scale : 0));
    if (job.largest_scale)
        fail_usage("--cfg-max {}: {} holds its own guidance scales", *job.largest_scale, job.strategy);
    Strategy strategy = read_strategy(job.strategy);
    if (job.steps && *job.steps != strategy.steps())
        fail_usage("--steps {}: {} is a strategy of {} steps", *job.steps, job.strategy, strategy.steps());
    return strategy;
}

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

std::vector<NamedPath> inputs_of(const NatJob& job) {
    std::vector<NamedPath> inputs = job.checkpoint.inputs();
    inputs.push_back({"--tokenizer", job.tokenizer});
    if (job.strategy != "maskgit") inputs.push_back({"--strategy", job.strategy});
    return inputs;
}

Models load_models(const NatJob& job) {
    const Backend backend = job.backend.backend();
    const auto file = open_tensor_file(job.checkpoint.checkpoint);
    if (!holds_nat(*file)) fail("{}: holds no masked-token transformer", job.checkpoint.checkpoint);
    Models models{read_nat_metadata(*file, job.checkpoint.given_nat_config(*file)), nullptr, nullptr};
    const auto tokenizer_file = open_tensor_file(job.tokenizer);
    require_matching(*file, models.metadata, job.tokenizer, read_tokenizer_metadata(*tokenizer_file));
    models.tokenizer = load_tokenizer(*tokenizer_file, backend);
    require_tokenizer(
        *file, models.metadata,
        tokenizer_fingerprint(codebook_values(*models.tokenizer), models.metadata.config.codebook_size),
        job.tokenizer);
    models.transformer = load_nat(*file, models.metadata.config, backend, job.checkpoint.weight_choice());
    return models;
}

// Writes a step: its tokens decoded, grey where they are masked for the next.
void add_to_trace(TraceFolder& trace, const Models& models, std::span<const std::int32_t> filled,
                  std::span<const std::int32_t> next) {
    const auto side = static_cast<std::size_t>(models.side()),
               size = static_cast<std::size_t>(models.image_size()), f = size / side;
    std::vector<std::uint8_t> known;
    for (std::size_t image = 0; image < next.size() / (side * side); ++image)
        for (std::size_t y = 0; y < size; ++y)
            for (std::size_t x = 0; x < size; ++x)
                known.push_back(next[(image * side + y / f) * side + x / f] !=
                                models.metadata.config.mask_id());
    trace.add(decoded_bytes(*models.tokenizer, filled, models.side()), known);
}

void run_job(const NatJob& job) {
    const Models models = load_models(job);
    const Strategy strategy = choose_strategy(job, models.metadata.config.num_classes > 1);
    const DrawnImages drawn =
        choose_images(job.images, models.metadata.config.num_classes - 1, models.metadata.classes);
    const PictureOutputs& outputs = job.images.outputs;
    if (!outputs.trace.empty()) require_one_batch(drawn);
    const std::int64_t channels = models.tokenizer->config().out_ch;
    ImageDrawing drawing(job.images, drawn, inputs_of(job), channels, models.image_size());
    std::vector<std::uint8_t> decoded;
    NatGenerator generator(*models.transformer, drawn.batch, strategy.guided(),
                           decode_into(*models.tokenizer, models.side(), decoded));
    std::optional<TraceFolder> trace;
    if (!outputs.trace.empty()) {
        trace.emplace(outputs.trace, static_cast<int>(channels), static_cast<int>(models.image_size()),
                      static_cast<int>(drawn.columns));
        generator.watch([&](const DecodedStep& step) {
            if (step.step == 0) add_to_trace(*trace, models, step.filled, step.ids);  // all masked
            add_to_trace(*trace, models, step.filled, step.next);
        });
    }
    drawing.run([&](std::span<const std::int64_t> classes, std::int64_t first) {
        generator.generate(classes, strategy, {job.seed, first});
        return decoded;
    });
    drawing.write_sheet();
    if (trace) trace->write_animation();
    fmt::print("{} images in {} steps, {:.2f} s{}\n", drawn.classes.size(), strategy.steps(),
               drawing.seconds(), outputs.where_written());
}

void add_strategy_flags(CommandLine& command, NatJob& job) {
    command
        .add_option(
            "--steps", job.steps,
            fmt::format("Steps of maskgit (default {}); a strategy file has its own number", default_steps))
        ->check(within(std::int64_t{1}, max_decoding_steps));
    command
        .add_option("--strategy", job.strategy,
                    "maskgit (its heuristics), or a file: JSON as models/nat/autonat_l_8.json, or YAML as "
                    "published")
        ->type_name("NAME|FILE")
        ->capture_default_str();
    command.add_option(
        "--cfg-max", job.largest_scale,
        fmt::format("Guidance scale that maskgit reaches at its last step (default {}); 0 is no guidance and "
                    "takes half the time. Logits are c + s (c - u), so s here is --cfg 1 + s elsewhere",
                    default_scale));
    command.add_option("--seed", job.seed, "An image depends on the seed and its number, not on the batch")
        ->capture_default_str()
        ->check(any_seed());
}

}  // namespace

void add_nat_job(CommandLine& app) {
    CommandLine* command =
        app.add_subcommand("nat", "Draw images from a masked-token transformer and a tokenizer");
    const auto job = std::make_shared<NatJob>();
    add_checkpoint_flags(*command, job->checkpoint);
    command->add_option("--tokenizer", job->tokenizer, "Tokenizer whose codes the transformer predicts")
        ->type_name("FILE")
        ->required();
    add_choice_flags(*command, job->images);
    add_strategy_flags(*command, *job);
    add_output_flags(*command, job->images, "the picture after each step, masked tokens grey");
    add_backend_flags(*command, job->backend);
    command->callback([job] { run_job(*job); });
}
