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
    std::string out, each;
    std::vector<std::int64_t> classes;
    std::int64_t count = 0, batch = 64, columns = 0;
};

void check_flags(const SampleJob& job, const FractalConfig& config) {
    if (job.out.empty() && job.each.empty()) fail_usage("expected --out, --each or both");
    job.drawing.check(config);
    for (const std::int64_t label : job.classes) require_class(config, label, "--classes");
}

// The class of every image: the asked ones in turn, by default all of them (the first ten).
std::vector<std::int64_t> image_classes(const SampleJob& job, const FractalConfig& config) {
    std::vector<std::int64_t> chosen = job.classes;
    if (chosen.empty() && config.class_num == 0) chosen = {-1};
    for (std::int64_t label = 0; chosen.size() < 10 && job.classes.empty() && label < config.class_num;
         ++label)
        chosen.push_back(label);
    const auto count =
        job.count > 0 ? static_cast<std::size_t>(job.count) : std::max<std::size_t>(chosen.size(), 16);
    std::vector<std::int64_t> classes;
    for (std::size_t i = 0; i < count; ++i) classes.push_back(chosen[i % chosen.size()]);
    return classes;
}

std::vector<std::uint8_t> draw(const SampleJob& job, const FractalModel& model,
                               const std::vector<std::int64_t>& classes, std::int64_t columns) {
    SampleRule rule = job.drawing.rule();
    const auto batch = std::min(static_cast<std::size_t>(job.batch), classes.size());
    FractalSampler sampler(model, static_cast<std::int64_t>(batch), rule.guidance != 1,
                           job.drawing.iterations);
    std::optional<TraceFolder> trace;
    if (!job.drawing.trace.empty()) {
        if (batch < classes.size())
            fail_usage(
                "--trace: shows the images of one batch, {}, and there are {}: raise --batch or lower "
                "--count",
                batch, classes.size());
        trace.emplace(job.drawing.trace, static_cast<int>(model.config().channels),
                      static_cast<int>(model.config().image_size()), static_cast<int>(columns));
        sampler.trace(trace->recorder());
    }
    std::vector<std::uint8_t> images;
    for (std::size_t first = 0; first < classes.size(); first += batch) {
        const std::span<const std::int64_t> part(classes.data() + first,
                                                 std::min(batch, classes.size() - first));
        rule.first_image = static_cast<std::int64_t>(first);
        const auto drawn = sampler.sample(part, rule);
        images.insert(images.end(), drawn.begin(), drawn.end());
    }
    if (trace) trace->write_animation();
    return images;
}

void run_job(const SampleJob& job) {
    const Backend backend = job.drawing.backend.backend();
    const OpenedCheckpoint checkpoint(job.checkpoint);
    const FractalConfig& config = checkpoint.description.config;
    check_flags(job, config);
    const auto model = checkpoint.load(backend);
    const std::vector<std::int64_t> classes = image_classes(job, config);
    const std::size_t distinct = job.classes.empty()
                                     ? std::min<std::size_t>(10, static_cast<std::size_t>(config.class_num))
                                     : job.classes.size();
    const std::int64_t columns = job.columns > 0 ? job.columns : sheet_columns(distinct, classes.size());
    const auto start = std::chrono::steady_clock::now();
    const auto images = draw(job, *model, classes, columns);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    write_drawn_images(job.out, job.each, images, classes, config.channels, config.image_size(), columns);
    fmt::print("{} images in {:.2f} s{}{}{}\n", classes.size(), spent.count(),
               job.out.empty() ? "" : ": " + job.out, job.each.empty() ? "" : ", one by one in " + job.each,
               job.drawing.trace.empty() ? "" : ", step by step in " + job.drawing.trace);
}

}  // namespace

void add_fractal_sampling_job(CLI::App& app) {
    CLI::App* command = app.add_subcommand("fractal", "Draw images from a fractal model");
    const auto job = std::make_shared<SampleJob>();
    add_checkpoint_flags(*command, job->checkpoint);
    command
        ->add_option("--classes", job->classes, "Classes to draw in turn, by number (default: the first ten)")
        ->delimiter(',');
    command->add_option("--count", job->count, "Images (default: one per class, at least 16)")
        ->check(CLI::PositiveNumber);
    add_draw_flags(*command, job->drawing);
    command->add_option("--batch", job->batch, "Images at once")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    command->add_option("--columns", job->columns, "Images in a row of the sheet (default: one per class)")
        ->check(CLI::PositiveNumber);
    command->add_option("--out", job->out, "PNG file for the sheet of all images");
    command->add_option("--each", job->each, "Folder for the images one by one");
    command->callback([job] { run_job(*job); });
}
