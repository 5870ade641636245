// `build/sample fractal`: draws images from a fractal model.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/command_line.h"
#include "sample/drawn_images.h"
#include "sample/fractal_drawing.h"
#include "sample/jobs.h"
#include "sample/trace.h"

namespace {

struct SampleJob {
    FractalDrawFlags drawing;
    DrawnImagesFlags images;
};

void run_job(const SampleJob& job) {
    FractalDrawing model(job.drawing);
    const DrawnImages drawn = choose_images(job.images, model.config().class_num, model.metadata().classes);
    const PictureOutputs& outputs = job.images.outputs;
    if (!outputs.trace.empty()) require_one_batch(drawn);
    ImageDrawing drawing(job.images, drawn, job.drawing.inputs(), model.channels(), model.image_size());
    const auto sampler = model.load(drawn.batch);
    SampleRule rule = job.drawing.drawing.rule();
    sampler->watch([&](std::int64_t done, std::int64_t steps) { drawing.step(done, steps); });
    std::optional<TraceFolder> trace;
    if (!outputs.trace.empty()) {
        trace.emplace(outputs.trace, static_cast<int>(model.channels()), static_cast<int>(model.image_size()),
                      static_cast<int>(drawn.columns));
        sampler->trace(trace->recorder());
    }
    drawing.run([&](std::span<const std::int64_t> classes, std::int64_t first) {
        rule.first_image = first;
        return sampler->sample(classes, rule);
    });
    drawing.write_sheet();
    if (trace) trace->write_animation();
    fmt::print("{} images in {:.2f} s{}\n", drawn.classes.size(), drawing.seconds(), outputs.where_written());
}

}  // namespace

void add_fractal_sampling_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand("fractal", "Draw images from a fractal model");
    const auto job = std::make_shared<SampleJob>();
    add_fractal_model_flags(*command, job->drawing);
    add_choice_flags(*command, job->images);
    add_draw_flags(*command, job->drawing.drawing);
    add_output_flags(*command, job->images, fractal_steps);
    command->callback([job] { run_job(*job); });
}
