// `build/sample fractal`: draws images from a fractal model.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "sample/checkpoint_flags.h"
#include "sample/draw_flags.h"
#include "sample/drawn_images.h"
#include "sample/jobs.h"
#include "sample/trace.h"

namespace {

struct SampleJob {
    CheckpointFlags checkpoint;
    DrawFlags drawing;
    DrawnImagesFlags images;
};

std::vector<std::uint8_t> draw(const SampleJob& job, const FractalModel& model, const DrawnImages& drawn) {
    SampleRule rule = job.drawing.rule();
    FractalSampler sampler(model, drawn.batch, rule.guidance != 1, job.drawing.iterations);
    std::optional<TraceFolder> trace;
    if (!job.drawing.trace.empty()) {
        require_one_batch(drawn);
        trace.emplace(job.drawing.trace, static_cast<int>(model.config().channels),
                      static_cast<int>(model.config().image_size()), static_cast<int>(drawn.columns));
        sampler.trace(trace->recorder());
    }
    const auto batch = static_cast<std::size_t>(drawn.batch);
    std::vector<std::uint8_t> images;
    for (std::size_t first = 0; first < drawn.classes.size(); first += batch) {
        const std::span<const std::int64_t> part(drawn.classes.data() + first,
                                                 std::min(batch, drawn.classes.size() - first));
        rule.first_image = static_cast<std::int64_t>(first);
        const auto batch_images = sampler.sample(part, rule);
        images.insert(images.end(), batch_images.begin(), batch_images.end());
    }
    if (trace) trace->write_animation();
    return images;
}

void run_job(const SampleJob& job) {
    const Backend backend = job.drawing.backend.backend();
    const OpenedCheckpoint checkpoint(job.checkpoint);
    const FractalConfig& config = checkpoint.description.config;
    const DrawnImages drawn = choose_images(job.images, config.class_num, checkpoint.description.classes);
    job.drawing.check(config);
    const auto model = checkpoint.load(backend);
    const auto start = std::chrono::steady_clock::now();
    const auto images = draw(job, *model, drawn);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    write_images(job.images, drawn, images, config.channels, config.image_size());
    fmt::print("{} images in {:.2f} s{}\n", drawn.classes.size(), spent.count(),
               where_written(job.images, job.drawing.trace));
}

}  // namespace

void add_fractal_sampling_job(CLI::App& app) {
    CLI::App* command = app.add_subcommand("fractal", "Draw images from a fractal model");
    const auto job = std::make_shared<SampleJob>();
    add_checkpoint_flags(*command, job->checkpoint);
    add_choice_flags(*command, job->images);
    add_draw_flags(*command, job->drawing);
    add_output_flags(*command, job->images);
    command->callback([job] { run_job(*job); });
}
