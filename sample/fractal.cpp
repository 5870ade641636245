// `build/sample fractal`: draws images from a fractal model.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/command_line.h"
#include "runtime/base/interruption.h"
#include "sample/drawn_images.h"
#include "sample/fractal_drawing.h"
#include "sample/jobs.h"
#include "sample/serve.h"
#include "sample/trace.h"

namespace {

// What one call, or one request, draws.
struct Pictures {
    DrawFlags drawing;
    DrawnImagesFlags images;
};

struct SampleJob {
    FractalDrawFlags model;
    DrawnImagesFlags images;
    std::string requests;

    std::vector<NamedPath> inputs() const {
        std::vector<NamedPath> files = model.inputs();
        files.push_back(requests_file(requests));
        return files;
    }
};

void add_picture_flags(CommandLine& command, DrawFlags& drawing, DrawnImagesFlags& images) {
    add_choice_flags(command, images);
    add_draw_flags(command, drawing);
    add_output_flags(command, images, fractal_steps);
}

// The model, and samplers with their memory and their recorded graphs: kept for the next request of their kind.
class Session {
  public:
    explicit Session(const SampleJob& job) : inputs_(job.inputs()), model_(job.model) {}

    void load() { model_.load(); }

    // Draws and writes. Returns the number of images and the seconds it took to draw them.
    std::pair<std::int64_t, double> draw(const Pictures& pictures);

  private:
    // Of one kind: guided or not.
    struct Kept {
        std::int64_t batch = 0;  // images at once for which its memory is planned
        std::vector<std::int64_t> iterations;
        std::unique_ptr<PictureSampler> sampler;
    };

    PictureSampler& sampler_for(std::int64_t batch, const DrawFlags& drawing);

    std::vector<NamedPath> inputs_;
    FractalDrawing model_;
    Kept plain_, guided_;
};

PictureSampler& Session::sampler_for(std::int64_t batch, const DrawFlags& drawing) {
    Kept& kept = drawing.guidance != 1 ? guided_ : plain_;
    if (!kept.sampler || kept.batch < batch || kept.iterations != drawing.iterations) {
        kept.sampler.reset();  // its memory first
        kept.batch = std::max(batch, kept.batch);
        kept.iterations = drawing.iterations;
        kept.sampler = model_.sampler(kept.batch, drawing);
    }
    return *kept.sampler;
}

std::pair<std::int64_t, double> Session::draw(const Pictures& pictures) {
    const PictureOutputs& outputs = pictures.images.outputs;
    pictures.drawing.check(model_.config());
    const DrawnImages drawn =
        choose_images(pictures.images, model_.config().class_num, model_.metadata().classes);
    if (!outputs.trace.empty()) require_one_batch(drawn);
    ImageDrawing drawing(pictures.images, drawn, inputs_, model_.channels(), model_.image_size());
    SampleRule rule = pictures.drawing.rule();
    PictureSampler& sampler = sampler_for(drawn.batch, pictures.drawing);
    sampler.watch([&](std::int64_t done, std::int64_t steps) { drawing.step(done, steps); });
    std::optional<TraceFolder> trace;
    if (!outputs.trace.empty())
        trace.emplace(outputs.trace, static_cast<int>(model_.channels()),
                      static_cast<int>(model_.image_size()), static_cast<int>(drawn.columns));
    sampler.trace(trace ? trace->recorder() : PictureSampler::PictureTrace());
    drawing.run([&](std::span<const std::int64_t> classes, std::int64_t first) {
        rule.first_image = first;
        return sampler.sample(classes, rule);
    });
    drawing.write_sheet();
    if (trace) trace->write_animation();
    return {static_cast<std::int64_t>(drawn.classes.size()), drawing.seconds()};
}

void run_job(const SampleJob& job) {
    Session session(job);
    if (job.requests.empty()) {
        const auto [images, seconds] = session.draw({job.model.drawing, job.images});
        fmt::print("{} images in {:.2f} s{}\n", images, seconds, job.images.outputs.where_written());
        return;
    }
    watch_interruption();
    RequestLines lines(job.requests);
    session.load();
    serve_requests(lines, [&](std::span<const FlagValues> flags) {
        Pictures pictures{job.model.drawing, job.images};
        CommandLine request("A request.");
        add_picture_flags(request, pictures.drawing, pictures.images);
        request.take(flags);
        return Drawn{session.draw(pictures).first, pictures.drawing.seed, pictures.images.outputs};
    });
}

}  // namespace

void add_fractal_sampling_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand("fractal", "Draw images from a fractal model");
    const auto job = std::make_shared<SampleJob>();
    add_fractal_model_flags(*command, job->model);
    add_picture_flags(*command, job->model.drawing, job->images);
    add_requests_flag(*command, job->requests);
    add_backend_flags(*command, job->model.drawing.backend);
    command->callback([job] { run_job(*job); });
}
