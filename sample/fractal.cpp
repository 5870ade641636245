// `build/sample fractal`: draws images from a fractal model.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
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

void run_job(const SampleJob& job) {
    const Backend backend = job.drawing.backend.backend();
    const OpenedCheckpoint checkpoint(job.checkpoint);
    const FractalConfig& config = checkpoint.metadata.config;
    const DrawnImages drawn = choose_images(job.images, config.class_num, checkpoint.metadata.classes);
    job.drawing.check(config);
    const PictureOutputs& outputs = job.images.outputs;
    if (!outputs.trace.empty()) require_one_batch(drawn);
    ImageDrawing drawing(job.images, drawn, job.checkpoint.inputs(), config.channels, config.image_size());
    const auto model = checkpoint.load(backend);
    SampleRule rule = job.drawing.rule();
    FractalSampler sampler(*model, drawn.batch, rule.guidance != 1, job.drawing.iterations);
    sampler.watch([&](std::int64_t done, std::int64_t steps) { drawing.step(done, steps); });
    std::optional<TraceFolder> trace;
    if (!outputs.trace.empty()) {
        trace.emplace(outputs.trace, static_cast<int>(config.channels), static_cast<int>(config.image_size()),
                      static_cast<int>(drawn.columns));
        sampler.trace(trace->recorder());
    }
    drawing.run([&](std::span<const std::int64_t> classes, std::int64_t first) {
        rule.first_image = first;
        return sampler.sample(classes, rule);
    });
    drawing.write_sheet();
    if (trace) trace->write_animation();
    fmt::print("{} images in {:.2f} s{}\n", drawn.classes.size(), drawing.seconds(), outputs.where_written());
}

}  // namespace

void add_fractal_sampling_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand("fractal", "Draw images from a fractal model");
    const auto job = std::make_shared<SampleJob>();
    add_checkpoint_flags(*command, job->checkpoint);
    add_choice_flags(*command, job->images);
    add_draw_flags(*command, job->drawing);
    add_output_flags(*command, job->images, fractal_steps);
    command->callback([job] { run_job(*job); });
}
