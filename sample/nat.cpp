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
#include "runtime/device/backend_flags.h"
#include "sample/drawn_images.h"
#include "sample/jobs.h"
#include "sample/nat_drawing.h"
#include "sample/trace.h"

namespace {

struct NatJob {
    CheckpointFlags checkpoint;
    BackendFlags backend;
    NatDrawFlags nat;
    DrawnImagesFlags images;
    std::uint64_t seed = 0;
};

std::vector<NamedPath> inputs_of(const NatJob& job) {
    std::vector<NamedPath> inputs = job.checkpoint.inputs();
    std::ranges::copy(job.nat.inputs(), std::back_inserter(inputs));
    return inputs;
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

void run_job(const NatJob& job) {
    const NatModels models = load_nat_models(job.checkpoint, job.nat, job.backend.backend());
    const Strategy strategy = job.nat.strategy.choose(models.tokens(), models.labelled());
    const DrawnImages drawn = models.takes_texts()
                                  ? choose_text_images(job.images, job.nat.text.chosen_prompts())
                                  : choose_images(job.images, models.class_num(), models.metadata.classes);
    const PictureOutputs& outputs = job.images.outputs;
    if (!outputs.trace.empty()) require_one_batch(drawn);
    const std::int64_t channels = models.channels();
    ImageDrawing drawing(job.images, drawn, inputs_of(job), channels, models.image_size());
    std::vector<std::uint8_t> decoded;
    NatGenerator generator(*models.transformer, drawn.batch, strategy.guided(),
                           decode_into(*models.tokenizer, models.side(), decoded));
    std::vector<std::int32_t> text_ids;
    if (models.takes_texts()) {
        text_ids = text_table(*models.transformer, drawn.texts);
        generator.use_texts({text_ids});
    }
    std::optional<TraceFolder> trace;
    if (!outputs.trace.empty()) {
        trace.emplace(outputs.trace, static_cast<int>(channels), static_cast<int>(models.image_size()),
                      static_cast<int>(drawn.columns));
        generator.watch([&](const DecodedStep& step) {
            if (step.step == 0) add_to_trace(*trace, models, step.filled, step.ids);  // all masked
            add_to_trace(*trace, models, step.filled, step.next);
        });
    }
    drawing.run([&](std::span<const std::int64_t> classes, std::int64_t first) {
        const std::vector<std::int64_t> numbers = image_numbers(drawn, first, classes.size());
        generator.generate(classes, strategy, {job.seed, first, numbers});
        return decoded;
    });
    drawing.write_sheet();
    if (trace) trace->write_animation();
    fmt::print("{} images in {} steps, {:.2f} s{}\n", drawn.classes.size(), strategy.steps(),
               drawing.seconds(), outputs.where_written());
}

}  // namespace

void add_nat_job(CommandLine& app) {
    CommandLine* command =
        app.add_subcommand("nat", "Draw images from a masked-token transformer and a tokenizer");
    const auto job = std::make_shared<NatJob>();
    add_checkpoint_flags(*command, job->checkpoint);
    add_nat_draw_flags(*command, job->nat)->required();
    add_prompt_flags(*command, job->nat.text);
    add_choice_flags(*command, job->images);
    command
        ->add_option("--seed", job->seed,
                     "An image depends on the seed, its number and its class or text, not on the batch")
        ->capture_default_str()
        ->check(any_seed());
    add_output_flags(*command, job->images, "the picture after each step, masked tokens grey");
    add_backend_flags(*command, job->backend);
    command->callback([job] { run_job(*job); });
}
