// `build/sample evaluate nll`: bits per dimension of packed images under a model.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "data/loader.h"
#include "models/metrics/likelihood.h"
#include "runtime/error.h"
#include "sample/checkpoint_flags.h"
#include "sample/jobs.h"

namespace {

struct EvaluateJob {
    CheckpointFlags checkpoint;
    std::string data, device = "cpu";
    std::int64_t batch = 32, images = 0;
    bool conditional = false, json = false;
};

void require_fitting_data(const EvaluateJob& job, const FractalConfig& config, const PackedFile& data) {
    if (data.size() != config.image_size() || data.channels() != config.channels)
        fail_usage("{}: images of size {} with {} channels, the model takes size {} and {} channels",
                   job.data, data.size(), data.channels(), config.image_size(), config.channels);
    if (job.conditional && static_cast<std::int64_t>(data.classes().size()) != config.class_num)
        fail_usage("{}: {} classes, the model has {}", job.data, data.classes().size(), config.class_num);
}

void report(const EvaluateJob& job, const Likelihood& likelihood) {
    const char* kind = job.conditional ? "given the class" : "unconditional";
    if (job.json) {
        const nlohmann::ordered_json json{{"bits_per_dim", likelihood.bits_per_dim()},
                                          {"standard_error", likelihood.standard_error()},
                                          {"channels", likelihood.channel_bits_per_dim()},
                                          {"images", likelihood.images()},
                                          {"condition", kind},
                                          {"exact", true}};
        fmt::print("{}\n", json.dump());
        return;
    }
    fmt::print("{:.4f} bits/dim, {}, exact, over {} images (standard error over batches {:.4f})\n",
               likelihood.bits_per_dim(), kind, likelihood.images(), likelihood.standard_error());
}

void run_nll(const EvaluateJob& job) {
    parse_device(job.device);
    const OpenedCheckpoint checkpoint(job.checkpoint);
    const PackedFile data(job.data);
    require_fitting_data(job, checkpoint.description.config, data);
    data.verify();
    const auto model = checkpoint.load();
    const std::int64_t images = job.images > 0 ? std::min(job.images, data.count()) : data.count();
    Likelihood likelihood(*model, job.batch);
    Batch batch;
    for (std::int64_t first = 0; first < images; first += job.batch) {
        read_batch(data, first, std::min(job.batch, images - first), batch);
        std::vector<std::int64_t> classes(batch.labels.size(), -1);
        if (job.conditional) classes.assign(batch.labels.begin(), batch.labels.end());
        likelihood.add(batch.pixels, classes);
    }
    report(job, likelihood);
}

}  // namespace

void add_evaluate_job(CLI::App& app) {
    CLI::App* evaluate = app.add_subcommand("evaluate", "Measure a model");
    evaluate->require_subcommand(1);
    CLI::App* command =
        evaluate->add_subcommand("nll", "Negative log likelihood of packed images in bits per dimension");
    const auto job = std::make_shared<EvaluateJob>();
    add_checkpoint_flags(*command, job->checkpoint);
    command->add_option("--data", job->data, "Packed images (build/data pack)")->required();
    command->add_flag("--conditional", job->conditional, "Given each image's class (default: unconditional)");
    command->add_option("--images", job->images, "Only so many images, the first ones (default: all)")
        ->check(CLI::PositiveNumber);
    command->add_option("--batch", job->batch, "Images at once")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    command->add_flag("--json", job->json, "One JSON object instead of a sentence");
    command->add_option("--device", job->device, "cpu")->capture_default_str();
    command->callback([job] { run_nll(*job); });
}
