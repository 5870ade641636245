// `build/sample evaluate`, and of it `nll`: bits per dimension of packed images under a model.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "data/records/class_names.h"
#include "data/records/loader.h"
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
    std::string data;
    BackendFlags backend;
    std::int64_t batch = 32, images = 0, passes = 1;
    std::uint64_t seed = 0;
    bool conditional = false, ignore_class_names = false, json = false;
};

void require_fitting_data(const EvaluateJob& job, const FractalConfig& config, const PackedFile& data) {
    if (data.size() != config.image_size() || data.channels() != config.channels)
        fail_usage("{}: images of size {} with {} channels, the model takes size {} and {} channels",
                   job.data, data.size(), data.channels(), config.image_size(), config.channels);
    if (job.conditional && config.class_num == 0) fail_usage("--conditional: the model has no classes");
    if (job.conditional && static_cast<std::int64_t>(data.classes().size()) != config.class_num)
        fail_usage("{}: {} classes, the model has {}", job.data, data.classes().size(), config.class_num);
}

// What each label of the data is in the model.
std::vector<std::int64_t> labels_of_model(const EvaluateJob& job, const FractalMetadata& model,
                                          const PackedFile& data) {
    return match_classes({job.checkpoint.checkpoint, model.classes}, {job.data, data.classes()},
                         job.ignore_class_names || !job.conditional);
}

void report(const EvaluateJob& job, const FractalConfig& config, const Likelihood& likelihood) {
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
        if (config.guiding_pixel)
            json["bits_per_dim_with_guiding_pixels"] = likelihood.bits_per_dim_with_guiding();
        fmt::print("{}\n", json_text(json));
        return;
    }
    fmt::print("{:.4f} bits/dim, {}, {}, over {} images{} (standard error over batches{} {:.4f})\n",
               likelihood.bits_per_dim(), condition,
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
    const PackedFile data(job.data);
    require_fitting_data(job, checkpoint.metadata.config, data);
    data.verify();
    const auto model = checkpoint.load(backend);
    const std::int64_t images = job.images > 0 ? std::min(job.images, data.count()) : data.count();
    Likelihood likelihood(*model, std::min(job.batch, images), job.seed);
    if (likelihood.exact() && job.passes != 1)
        fail_usage("--passes {}: the likelihood of AR levels is exact, expected 1", job.passes);
    const std::vector<std::int64_t> numbers = labels_of_model(job, checkpoint.metadata, data);
    Batch batch;
    LiveLine line;
    for (std::int64_t pass = 0; pass < job.passes; ++pass)
        for (std::int64_t first = 0; first < images; first += job.batch) {
            line.show(fmt::format("measured {} of {} images", pass * images + first, job.passes * images));
            read_batch(data, first, std::min(job.batch, images - first), batch);
            relabel(batch.labels, numbers);
            std::vector<std::int64_t> classes(batch.labels.size(), -1);
            if (job.conditional) classes.assign(batch.labels.begin(), batch.labels.end());
            likelihood.add(batch.pixels, classes, static_cast<std::uint32_t>(pass));
        }
    line.clear();
    report(job, checkpoint.metadata.config, likelihood);
}

}  // namespace

void add_evaluate_job(CommandLine& app, const Comm& comm) {
    CommandLine* evaluate = app.add_subcommand("evaluate", "Measure a model, or pictures");
    CommandLine* command =
        evaluate->add_subcommand("nll", "Negative log likelihood of packed images in bits per dimension");
    const auto job = std::make_shared<EvaluateJob>();
    add_checkpoint_flags(*command, job->checkpoint);
    command->add_option("--data", job->data, "Packed images (build/data pack)")
        ->type_name("FILE")
        ->required();
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
