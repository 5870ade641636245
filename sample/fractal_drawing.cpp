#include "sample/fractal_drawing.h"

#include "models/fractal/cost.h"
#include "models/nat/cost.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "sample/codes_tokenizer.h"

std::vector<NamedPath> FractalDrawFlags::inputs() const {
    std::vector<NamedPath> files = checkpoint.inputs();
    files.push_back({"--tokenizer", tokenizer});
    return files;
}

void add_fractal_model_flags(CommandLine& command, FractalDrawFlags& flags) {
    add_checkpoint_flags(command, flags.checkpoint);
    command
        .add_option("--tokenizer", flags.tokenizer,
                    "Of a model of codes: the tokenizer that makes pictures of them")
        ->type_name("FILE");
}

FractalDrawing::FractalDrawing(const FractalDrawFlags& flags)
    : backend_(flags.drawing.backend.backend()), checkpoint_(flags.checkpoint) {
    const std::string& path = flags.checkpoint.checkpoint;
    flags.drawing.check(config());
    if (config().of_codes() && flags.tokenizer.empty())
        fail_usage("{}: draws codes; expected their tokenizer as --tokenizer", path);
    if (!config().of_codes() && !flags.tokenizer.empty())
        fail_usage("--tokenizer {}: {} draws pixels, which need none", flags.tokenizer, path);
    if (config().of_codes())
        tokenizer_ =
            load_tokenizer_of({path, config().vocabulary, config().image_size(), metadata().tokenizer},
                              flags.tokenizer, backend_);
}

double FractalDrawing::operations(const DrawFlags& drawing) const {
    const bool guided = drawing.guidance != 1;
    const FractalCost cost = fractal_cost(
        config(),
        {drawing.iterations.empty() ? recommended_iterations(config()) : drawing.iterations, guided});
    return cost.sum(&NetworkCost::sampling) +
           (tokenizer_ ? 2 * decoder_multiply_adds(tokenizer_->config(), config().image_size()) : 0);
}

void FractalDrawing::load() {
    if (!model_) model_ = checkpoint_.load(backend_);
}

std::unique_ptr<PictureSampler> FractalDrawing::sampler(std::int64_t batch, const DrawFlags& drawing) {
    load();
    return std::make_unique<PictureSampler>(*model_, tokenizer_.get(), batch, drawing.guidance != 1,
                                            drawing.iterations);
}
