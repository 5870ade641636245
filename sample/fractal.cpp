// `build/sample fractal`: draws images from a fractal model.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "data/sheet.h"
#include "models/fractal/sample.h"
#include "runtime/error.h"
#include "sample/checkpoint_flags.h"
#include "sample/jobs.h"

namespace {

struct SampleJob {
    CheckpointFlags checkpoint;
    std::string out, each, schedule = "linear", device = "cpu";
    std::vector<std::int64_t> classes, iterations;
    std::int64_t count = 0, batch = 64, columns = 0;
    double guidance = 1, temperature = 1, filter_threshold = 1e-4;
    std::uint64_t seed = 0;
    bool greedy = false;
};

void check_flags(const SampleJob& job, const FractalConfig& config) {
    if (job.out.empty() && job.each.empty()) fail_usage("expected --out, --each or both");
    if (job.schedule != "linear" && job.schedule != "constant")
        fail_usage("--cfg-schedule {}: expected linear or constant", job.schedule);
    if (!(job.temperature > 0) || !std::isfinite(job.temperature))
        fail_usage("--temperature {}: expected a positive number", job.temperature);
    if (!std::isfinite(job.guidance)) fail_usage("--cfg {}: expected a finite number", job.guidance);
    if (!(job.filter_threshold >= 0 && job.filter_threshold < 1))
        fail_usage("--filter-threshold {}: expected 0 to below 1", job.filter_threshold);
    if (job.guidance != 1 && config.class_num == 0)
        fail_usage("--cfg {}: the model is unlabelled, expected 1", job.guidance);
    if (!job.classes.empty() && config.class_num == 0) fail_usage("--classes: the model is unlabelled");
    for (const std::int64_t label : job.classes)
        if (label < 0 || label >= config.class_num)
            fail_usage("--classes {}: the model has the classes 0 to {}", label, config.class_num - 1);
    if (!job.iterations.empty() && job.iterations.size() != config.generators())
        fail_usage("--iters: {} numbers, expected one per level above the pixels, {}", job.iterations.size(),
                   config.generators());
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
                               const std::vector<std::int64_t>& classes) {
    SampleRule rule;
    rule.temperature = static_cast<float>(job.temperature);
    rule.guidance = static_cast<float>(job.guidance);
    rule.linear_schedule = job.schedule == "linear";
    rule.filter_threshold = static_cast<float>(job.filter_threshold);
    rule.greedy = job.greedy;
    rule.seed = job.seed;
    const auto batch = std::min(static_cast<std::size_t>(job.batch), classes.size());
    FractalSampler sampler(model, static_cast<std::int64_t>(batch), rule.guidance != 1);
    std::vector<std::uint8_t> images;
    for (std::size_t first = 0; first < classes.size(); first += batch) {
        const std::span<const std::int64_t> part(classes.data() + first,
                                                 std::min(batch, classes.size() - first));
        rule.first_image = static_cast<std::int64_t>(first);
        const auto drawn = sampler.sample(part, rule);
        images.insert(images.end(), drawn.begin(), drawn.end());
    }
    return images;
}

void write_each(const SampleJob& job, const FractalConfig& config, const std::vector<std::int64_t>& classes,
                std::span<const std::uint8_t> images) {
    std::filesystem::create_directories(job.each);
    const std::size_t bytes = images.size() / classes.size();
    for (std::size_t i = 0; i < classes.size(); ++i) {
        const std::string label = classes[i] < 0 ? "" : fmt::format("-class-{}", classes[i]);
        write_png(std::filesystem::path(job.each) / fmt::format("{:06}{}.png", i, label),
                  interleaved_image(images.subspan(i * bytes, bytes), static_cast<int>(config.channels),
                                    static_cast<int>(config.image_size())));
    }
}

void run_job(const SampleJob& job) {
    parse_device(job.device);
    const OpenedCheckpoint checkpoint(job.checkpoint);
    const FractalConfig& config = checkpoint.description.config;
    check_flags(job, config);
    const auto model = checkpoint.load();
    const std::vector<std::int64_t> classes = image_classes(job, config);
    const auto start = std::chrono::steady_clock::now();
    const auto images = draw(job, *model, classes);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    const std::size_t distinct = job.classes.empty()
                                     ? std::min<std::size_t>(10, static_cast<std::size_t>(config.class_num))
                                     : job.classes.size();
    const auto columns = job.columns > 0 ? job.columns
                         : distinct > 1
                             ? static_cast<std::int64_t>(std::min(distinct, classes.size()))
                             : std::llround(std::ceil(std::sqrt(static_cast<double>(classes.size()))));
    if (!job.each.empty()) write_each(job, config, classes, images);
    if (!job.out.empty())
        write_png(job.out, image_sheet(images, static_cast<int>(config.channels),
                                       static_cast<int>(config.image_size()), static_cast<int>(columns)));
    fmt::print("{} images in {:.2f} s{}{}\n", classes.size(), spent.count(),
               job.out.empty() ? "" : ": " + job.out, job.each.empty() ? "" : ", one by one in " + job.each);
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
    command
        ->add_option("--cfg", job->guidance,
                     "Classifier-free guidance scale; 1 draws from the class alone in half the time")
        ->capture_default_str();
    command
        ->add_option("--cfg-schedule", job->schedule,
                     "linear: the scale grows to --cfg over the patches; constant")
        ->capture_default_str();
    command
        ->add_option(
            "--temperature", job->temperature,
            "Multiplies the logits, as in the authors' release: above 1 is more certain, below 1 more varied")
        ->capture_default_str();
    command
        ->add_option("--filter-threshold", job->filter_threshold,
                     "With --cfg: values less probable than this given the class are not raised by guidance")
        ->capture_default_str();
    command
        ->add_option("--iters", job->iterations,
                     "Steps per level, outermost first; AR levels take one step a patch, whatever it says")
        ->delimiter(',');
    command->add_option("--seed", job->seed, "An image depends on the seed and its number, not on the batch")
        ->capture_default_str();
    command->add_flag("--greedy", job->greedy, "Take the most probable value instead of drawing");
    command->add_option("--batch", job->batch, "Images at once")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    command->add_option("--columns", job->columns, "Images in a row of the sheet (default: one per class)")
        ->check(CLI::PositiveNumber);
    command->add_option("--out", job->out, "PNG file for the sheet of all images");
    command->add_option("--each", job->each, "Folder for the images one by one");
    command->add_option("--device", job->device, "cpu")->capture_default_str();
    command->callback([job] { run_job(*job); });
}
