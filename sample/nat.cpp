// `build/sample nat`: draws images from a masked-token transformer by parallel decoding.
#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/nat/generate.h"
#include "models/nat/pictures.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/interruption.h"
#include "runtime/device/backend_flags.h"
#include "sample/drawn_images.h"
#include "sample/jobs.h"
#include "sample/nat_drawing.h"
#include "sample/serve.h"
#include "sample/trace.h"

namespace {

// What one call, or one request, draws.
struct Pictures {
    NatDrawFlags nat;
    DrawnImagesFlags images;
    std::uint64_t seed = 0;
};

struct NatJob {
    CheckpointFlags checkpoint;
    BackendFlags backend;
    Pictures pictures;
    std::string requests;

    std::vector<NamedPath> inputs() const {
        std::vector<NamedPath> files = checkpoint.inputs();
        files.push_back(requests_file(requests));
        return files;
    }
};

void add_picture_flags(CommandLine& command, Pictures& pictures) {
    add_strategy_flags(command, pictures.nat.strategy, "--strategy");
    add_prompt_flags(command, pictures.nat.text);
    add_choice_flags(command, pictures.images);
    command
        .add_option("--seed", pictures.seed,
                    "An image depends on the seed, its number and its class or text, not on the batch")
        ->capture_default_str()
        ->check(any_seed());
    add_output_flags(command, pictures.images, "the picture after each step, masked tokens grey");
}

// Writes a step: its tokens decoded, grey where they are masked for the next.
void add_to_trace(TraceFolder& trace, const NatModels& models, std::span<const std::int32_t> filled,
                  std::span<const std::int32_t> next) {
    const auto side = static_cast<std::size_t>(models.side()),
               size = static_cast<std::size_t>(models.image_size()), f = size / side;
    std::vector<std::uint8_t> known;
    for (std::size_t image = 0; image < next.size() / (side * side); ++image)
        for (std::size_t y = 0; y < size; ++y)
            for (std::size_t x = 0; x < size; ++x)
                known.push_back(next[(image * side + y / f) * side + x / f] !=
                                models.metadata.config.mask_id());
    trace.add(decoded_bytes(*models.tokenizer, filled, models.side()), known);
}

// Of `count` images of a batch: a text's images are numbered as if it were the only one.
std::vector<std::int64_t> image_numbers(const DrawnImages& drawn, std::int64_t first, std::size_t count) {
    const auto each =
        static_cast<std::int64_t>(drawn.classes.size() / std::max<std::size_t>(1, drawn.texts.size()));
    std::vector<std::int64_t> numbers;
    for (std::size_t i = 0; i < count; ++i)
        numbers.push_back(drawn.first + (first - drawn.first + static_cast<std::int64_t>(i)) % each);
    return numbers;
}

struct Outcome {
    std::int64_t images, steps;
    double seconds;  // of drawing
};

// The models, and a generator with its memory and its recorded graphs: kept for the next request of its kind.
class Session {
  public:
    explicit Session(const NatJob& job)
        : inputs_(job.inputs()),
          models_(load_nat_models(job.checkpoint, job.pictures.nat, job.backend.backend())) {}

    // Draws and writes.
    Outcome draw(const Pictures& pictures);

  private:
    // Of one kind: guided or not.
    struct Kept {
        std::int64_t batch = 0;  // images at once for which its memory is planned
        std::optional<NatGenerator> generator;
    };

    NatGenerator& generator_for(std::int64_t batch, bool guided);

    std::vector<NamedPath> inputs_;
    NatModels models_;
    std::vector<std::uint8_t> decoded_;   // the pictures of a batch
    std::vector<std::int32_t> text_ids_;  // of a request's texts
    Kept plain_, guided_;
};

NatGenerator& Session::generator_for(std::int64_t batch, bool guided) {
    Kept& kept = guided ? guided_ : plain_;
    if (!kept.generator || kept.batch < batch) {
        kept.generator.reset();  // its memory first
        kept.batch = std::max(batch, kept.batch);
        kept.generator.emplace(*models_.transformer, kept.batch, guided,
                               decode_into(*models_.tokenizer, models_.side(), decoded_));
    }
    return *kept.generator;
}

Outcome Session::draw(const Pictures& pictures) {
    const PictureOutputs& outputs = pictures.images.outputs;
    const std::int64_t channels = models_.channels();
    if (!models_.takes_texts()) pictures.nat.text.require_none(inputs_.front().path);
    const Strategy strategy = pictures.nat.strategy.choose(models_.tokens(), models_.labelled());
    const DrawnImages drawn =
        models_.takes_texts() ? choose_text_images(pictures.images, pictures.nat.text.chosen_prompts())
                              : choose_images(pictures.images, models_.class_num(), models_.metadata.classes);
    if (!outputs.trace.empty()) require_one_batch(drawn);
    std::vector<NamedPath> inputs = inputs_;
    std::ranges::copy(pictures.nat.inputs(), std::back_inserter(inputs));
    ImageDrawing drawing(pictures.images, drawn, inputs, channels, models_.image_size());
    NatGenerator& generator = generator_for(drawn.batch, strategy.guided());
    if (models_.takes_texts()) {
        text_ids_ = text_table(*models_.transformer, drawn.texts);
        generator.use_texts({text_ids_});
    }
    std::optional<TraceFolder> trace;
    NatGenerator::Watch watch;
    if (!outputs.trace.empty()) {
        trace.emplace(outputs.trace, static_cast<int>(channels), static_cast<int>(models_.image_size()),
                      static_cast<int>(drawn.columns));
        watch = [&](const DecodedStep& step) {
            if (step.step == 0) add_to_trace(*trace, models_, step.filled, step.ids);  // all masked
            add_to_trace(*trace, models_, step.filled, step.next);
        };
    }
    generator.watch(watch);
    drawing.run([&](std::span<const std::int64_t> classes, std::int64_t first) {
        const std::vector<std::int64_t> numbers = image_numbers(drawn, first, classes.size());
        generator.generate(classes, strategy, {pictures.seed, first, numbers});
        return decoded_;
    });
    drawing.write_sheet();
    if (trace) trace->write_animation();
    return {static_cast<std::int64_t>(drawn.classes.size()), strategy.steps(), drawing.seconds()};
}

void run_job(const NatJob& job) {
    if (job.requests.empty()) {
        const Outcome outcome = Session(job).draw(job.pictures);
        fmt::print("{} images in {} steps, {:.2f} s{}\n", outcome.images, outcome.steps, outcome.seconds,
                   job.pictures.images.outputs.where_written());
        return;
    }
    watch_interruption();
    RequestLines lines(job.requests);
    Session session(job);
    serve_requests(lines, [&](std::span<const FlagValues> flags) {
        Pictures pictures = job.pictures;
        CommandLine request("A request.");
        add_picture_flags(request, pictures);
        request.take(flags);
        return Drawn{session.draw(pictures).images, pictures.seed, pictures.images.outputs};
    });
}

}  // namespace

void add_nat_job(CommandLine& app) {
    CommandLine* command =
        app.add_subcommand("nat", "Draw images from a masked-token transformer and a tokenizer");
    const auto job = std::make_shared<NatJob>();
    add_checkpoint_flags(*command, job->checkpoint);
    add_nat_model_flags(*command, job->pictures.nat)->required();
    add_picture_flags(*command, job->pictures);
    add_requests_flag(*command, job->requests);
    add_backend_flags(*command, job->backend);
    command->callback([job] { run_job(*job); });
}
