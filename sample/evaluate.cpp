// `build/sample evaluate`, and of it `nll`: bits per dimension of packed images, or per token, under a model.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "data/records/class_names.h"
#include "data/records/image_records.h"
#include "models/metrics/likelihood.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/base/live_line.h"
#include "runtime/device/backend_flags.h"
#include "sample/checkpoint_flags.h"
#include "sample/jobs.h"

namespace {

struct EvaluateJob {
    CheckpointFlags checkpoint;
    std::string data, tokens;
    BackendFlags backend;
    std::int64_t batch = 32, images = 0, passes = 1;
    std::uint64_t seed = 0;
    bool conditional = false, ignore_class_names = false, json = false;
};

// The file of the flag that suits the model.
ImageRecords open_data(const EvaluateJob& job, const FractalConfig& config) {
    const std::string& path = job.checkpoint.checkpoint;
    if (job.data.empty() && job.tokens.empty())
        fail_usage("expected {}", config.of_codes() ? "--tokens" : "--data");
    if (config.of_codes() && job.tokens.empty())
        fail_usage("--data {}: {} draws codes, expected --tokens", job.data, path);
    if (!config.of_codes() && job.data.empty())
        fail_usage("--tokens {}: {} draws pixels, expected --data", job.tokens, path);
    return ImageRecords(job.data, job.tokens);
}

void require_fitting_data(const EvaluateJob& job, const FractalMetadata& model, const ImageRecords& data) {
    const FractalConfig& config = model.config;
    const std::string path = data.path().string();
    if (const PackedFile* const packed = data.packed()) {
        if (packed->size() != config.image_size() || packed->channels() != config.channels)
            fail_usage("{}: images of size {} with {} channels, the model takes size {} and {} channels",
                       path, packed->size(), packed->channels(), config.image_size(), config.channels);
    } else {
        data.tokens()->require_grid(config.image_size(), config.vocabulary);
        if (model.tokenizer) data.tokens()->require_tokenizer(*model.tokenizer, job.checkpoint.checkpoint);
    }
    if (job.conditional && config.class_num == 0) fail_usage("--conditional: the model has no classes");
    if (job.conditional && static_cast<std::int64_t>(data.classes().size()) != config.class_num)
        fail_usage("{}: {} classes, the model has {}", path, data.classes().size(), config.class_num);
}

// What each label of the data is in the model.
std::vector<std::int64_t> labels_of_model(const EvaluateJob& job, const FractalMetadata& model,
                                          const ImageRecords& data) {
    return match_classes({job.checkpoint.checkpoint, model.classes}, class_names(data),
                         job.ignore_class_names || !job.conditional);
}

// Pixels of a token; 1 for a packed file.
double pixels_of(const ImageRecords& data) {
    if (data.tokens() == nullptr) return 1;
    const auto f = static_cast<double>(data.tokens()->format().downsampling);
    return f * f;
}

void report(const EvaluateJob& job, const FractalConfig& config, const ImageRecords& data,
            const Likelihood& likelihood) {
    const char* condition = job.conditional ? "given the class" : "unconditional";
    const std::int64_t images = likelihood.images() / job.passes;
    if (job.json) {
        nlohmann::ordered_json json{{"bits_per_dim", likelihood.bits_per_dim()},
                                    {"standard_error", likelihood.standard_error()},
                                    {"channels", likelihood.channel_bits_per_dim()},
                                    {"images", images},
                                    {"passes", job.passes},
                                    {"condition", condition},
                                    {"exact", likelihood.exact()}};
        if (config.of_codes()) json["bits_per_pixel"] = likelihood.bits_per_dim() / pixels_of(data);
        if (config.guiding_pixel)
            json["bits_per_dim_with_guiding_pixels"] = likelihood.bits_per_dim_with_guiding();
        fmt::print("{}\n", json_text(json));
        return;
    }
    const std::string figure =
        config.of_codes() ? fmt::format("{:.4f} bits/token, {:.4f} bits/pixel", likelihood.bits_per_dim(),
                                        likelihood.bits_per_dim() / pixels_of(data))
                          : fmt::format("{:.4f} bits/dim", likelihood.bits_per_dim());
    fmt::print("{}, {}, {}, over {} images{} (standard error over batches{} {:.4f})\n", figure, condition,
               likelihood.exact() ? "exact" : "estimate of the order-agnostic likelihood bound", images,
               likelihood.exact() ? "" : fmt::format(" and {} passes", job.passes),
               likelihood.exact() ? "" : " and passes", likelihood.standard_error());
    if (config.guiding_pixel)
        fmt::print("{:.4f} bits/dim with the guiding pixels' terms, as the authors' release adds them\n",
                   likelihood.bits_per_dim_with_guiding());
}

void run_nll(const EvaluateJob& job) {
    const Backend backend = job.backend.backend();
    const OpenedCheckpoint checkpoint(job.checkpoint);
    const ImageRecords data = open_data(job, checkpoint.metadata.config);
    require_fitting_data(job, checkpoint.metadata, data);
    data.verify();
    const auto model = checkpoint.load(backend);
    const std::int64_t images = job.images > 0 ? std::min(job.images, data.count()) : data.count();
    Likelihood likelihood(*model, std::min(job.batch, images), job.seed);
    if (likelihood.exact() && job.passes != 1)
        fail_usage("--passes {}: the likelihood of AR levels is exact, expected 1", job.passes);
    const std::vector<std::int64_t> numbers = labels_of_model(job, checkpoint.metadata, data);
    ImageReader reader(data);
    LiveLine line;
    for (std::int64_t pass = 0; pass < job.passes; ++pass)
        for (std::int64_t first = 0; first < images; first += job.batch) {
            line.show(fmt::format("measured {} of {} images", pass * images + first, job.passes * images));
            const ImageBatch batch = reader.read(first, std::min(job.batch, images - first));
            std::vector<std::int32_t> labels(batch.labels.begin(), batch.labels.end());
            relabel(labels, numbers);
            std::vector<std::int64_t> classes(labels.size(), -1);
            if (job.conditional) classes.assign(labels.begin(), labels.end());
            likelihood.add(batch.images, classes, static_cast<std::uint32_t>(pass));
        }
    line.clear();
    report(job, checkpoint.metadata.config, data, likelihood);
}

}  // namespace

void add_evaluate_job(CommandLine& app, const Comm& comm) {
    CommandLine* evaluate = app.add_subcommand("evaluate", "Measure a model, or pictures");
    CommandLine* command = evaluate->add_subcommand(
        "nll", "Negative log likelihood of packed images in bits per dimension, or of tokens");
    const auto job = std::make_shared<EvaluateJob>();
    add_checkpoint_flags(*command, job->checkpoint);
    Option* const data =
        command->add_option("--data", job->data, "Packed images (build/data pack)")->type_name("FILE");
    command
        ->add_option("--tokens", job->tokens,
                     "Of a model of codes, in place of --data: tokens (build/data tokens)")
        ->type_name("FILE")
        ->excludes(data);
    command->add_flag("--conditional", job->conditional, "Given each image's class (default: unconditional)");
    command->add_flag("--ignore-class-names", job->ignore_class_names,
                      std::string("With --conditional: ") + ignore_class_names_meaning);
    command->add_option("--images", job->images, "Only so many images, the first ones (default: all)")
        ->check(at_least(1));
    command->add_option("--batch", job->batch, "Images at once")->capture_default_str()->check(at_least(1));
    command
        ->add_option("--passes", job->passes,
                     "Passes over the images, each with its own masks: narrows the estimate for MAR levels")
        ->capture_default_str()
        ->check(at_least(1));
    command->add_option("--seed", job->seed, "Of the masks")->capture_default_str()->check(any_seed());
    command->add_flag("--json", job->json, "One JSON object instead of a sentence");
    add_backend_flags(*command, job->backend);
    command->callback([job] { run_nll(*job); });
    add_quality_job(*evaluate, comm);
    add_labels_job(*evaluate);
}
