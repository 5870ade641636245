// `build/sample fractal`: draws images from a fractal model.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/interruption.h"
#include "sample/checkpoint_flags.h"
#include "sample/draw_flags.h"
#include "sample/drawn_images.h"
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
    CheckpointFlags checkpoint;
    Pictures pictures;
    std::string requests;

    std::vector<NamedPath> inputs() const {
        std::vector<NamedPath> files = checkpoint.inputs();
        files.push_back(requests_file(requests));
        return files;
    }
};

void add_picture_flags(CommandLine& command, Pictures& pictures) {
    add_choice_flags(command, pictures.images);
    add_draw_flags(command, pictures.drawing);
    add_output_flags(command, pictures.images, fractal_steps);
}

// The model, and a sampler with its memory and its recorded graphs: kept for the next request of its kind.
class Session {
  public:
    explicit Session(const SampleJob& job)
        : inputs_(job.inputs()),
          backend_(job.pictures.drawing.backend.backend()),
          checkpoint_(job.checkpoint) {
        job.pictures.drawing.check(checkpoint_.metadata.config);
    }

    void load() {
        if (!model_) model_ = checkpoint_.load(backend_);
    }

    // Draws and writes. Returns the number of images and the seconds it took to draw them.
    std::pair<std::int64_t, double> draw(const Pictures& pictures);

  private:
    // Of one kind: guided or not.
    struct Kept {
        std::int64_t batch = 0;  // images at once for which its memory is planned
        std::vector<std::int64_t> iterations;
        std::optional<FractalSampler> sampler;
    };

    FractalSampler& sampler_for(std::int64_t batch, bool guided, const std::vector<std::int64_t>& iterations);

    std::vector<NamedPath> inputs_;
    Backend backend_;
    OpenedCheckpoint checkpoint_;
    std::unique_ptr<FractalModel> model_;
    Kept plain_, guided_;
};

FractalSampler& Session::sampler_for(std::int64_t batch, bool guided,
                                     const std::vector<std::int64_t>& iterations) {
    Kept& kept = guided ? guided_ : plain_;
    if (!kept.sampler || kept.batch < batch || kept.iterations != iterations) {
        kept.sampler.reset();  // its memory first
        kept.batch = std::max(batch, kept.batch);
        kept.iterations = iterations;
        kept.sampler.emplace(*model_, kept.batch, guided, iterations);
    }
    return *kept.sampler;
}

std::pair<std::int64_t, double> Session::draw(const Pictures& pictures) {
    const FractalConfig& config = checkpoint_.metadata.config;
    const PictureOutputs& outputs = pictures.images.outputs;
    pictures.drawing.check(config);
    const DrawnImages drawn = choose_images(pictures.images, config.class_num, checkpoint_.metadata.classes);
    if (!outputs.trace.empty()) require_one_batch(drawn);
    ImageDrawing drawing(pictures.images, drawn, inputs_, config.channels, config.image_size());
    load();
    SampleRule rule = pictures.drawing.rule();
    FractalSampler& sampler = sampler_for(drawn.batch, rule.guidance != 1, pictures.drawing.iterations);
    sampler.watch([&](std::int64_t done, std::int64_t steps) { drawing.step(done, steps); });
    std::optional<TraceFolder> trace;
    if (!outputs.trace.empty())
        trace.emplace(outputs.trace, static_cast<int>(config.channels), static_cast<int>(config.image_size()),
                      static_cast<int>(drawn.columns));
    sampler.trace(trace ? trace->recorder() : Trace());
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
        const auto [images, seconds] = session.draw(job.pictures);
        fmt::print("{} images in {:.2f} s{}\n", images, seconds, job.pictures.images.outputs.where_written());
        return;
    }
    watch_interruption();
    RequestLines lines(job.requests);
    session.load();
    serve_requests(lines, [&](std::span<const FlagValues> flags) {
        Pictures pictures = job.pictures;
        CommandLine request("A request.");
        add_picture_flags(request, pictures);
        request.take(flags);
        return Drawn{session.draw(pictures).first, pictures.drawing.seed, pictures.images.outputs};
    });
}

}  // namespace

void add_fractal_sampling_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand("fractal", "Draw images from a fractal model");
    const auto job = std::make_shared<SampleJob>();
    add_checkpoint_flags(*command, job->checkpoint);
    add_picture_flags(*command, job->pictures);
    add_requests_flag(*command, job->requests);
    add_backend_flags(*command, job->pictures.drawing.backend);
    command->callback([job] { run_job(*job); });
}
