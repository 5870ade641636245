// `build/train nat`: trains a masked-token transformer on a token file.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "data/records/class_names.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/ranks/comm.h"
#include "train/jobs.h"
#include "train/nat_sheet.h"
#include "train/nat_trainer.h"
#include "train/run_flags.h"
#include "train/run_quality.h"
#include "train/text_source.h"

namespace {

struct NatJob {
    std::string preset, config, tokens, validation, initial, tokenizer, text, validation_text;
    TrainingFlags training;
    RunFlags run;
    QualityFlags quality;
    std::optional<std::string> mask;
    std::vector<double> mask_beta;
    double label_smoothing = 0.1;
    std::int64_t validation_images = 512, chunk = 0;
    NatSheetRule sheet;
    bool recompute = false, ignore_class_names = false;
};

std::vector<NamedPath> inputs_of(const NatJob& job) {
    return {{"--config", job.config},
            {"--tokens", job.tokens},
            {"--validation", job.validation},
            {"--init-from", job.initial},
            {"--tokenizer", job.tokenizer},
            {"--text", job.text},
            {"--validation-text", job.validation_text},
            {"--quality-features", job.quality.features},
            {"--quality-reference", job.quality.reference}};
}

// The requested model; a preset takes its number of classes from the tokens, a small one the grid and the
// codebook as well.
NatConfig choose_config(const NatJob& job, const TokenFile& tokens) {
    if (job.preset.empty() == job.config.empty()) fail_usage("expected either --preset or --config");
    if (!job.config.empty()) return read_nat_config(job.config);
    const NatPreset& preset = nat_preset(job.preset);
    NatConfig config = preset.config;
    if (!config.takes_texts()) config.num_classes = static_cast<std::int64_t>(tokens.classes().size()) + 1;
    if (!preset.paper) {
        config.img_size = tokens.format().side;
        config.codebook_size = tokens.format().codebook_size;
    }
    config.validate(tokens.path().string());
    return config;
}

// Held-out tokens must be the same tokenizer's.
void require_validation(const NatConfig& config, const TokenFile& tokens, const TokenFile& validation) {
    require_fitting_tokens(config, validation);
    validation.require_tokenizer(tokens.format().fingerprint, tokens.path().string());
}

// What each label of the held-out tokens is in the training tokens, whose classes are the model's.
std::vector<std::int64_t> validation_numbers(const NatJob& job, const TokenFile& tokens,
                                             const TokenFile* validation) {
    if (validation == nullptr) return {};
    return match_classes(class_names(tokens), class_names(*validation), job.ignore_class_names);
}

// The conditions of the training tokens and of the held-out ones, and the text encoder outside the model, if there is
// one.
struct JobConditions {
    JobConditions(const NatJob& job, const NatConfig& config, const TokenFile& tokens,
                  const TokenFile* validation, Backend backend) {
        const std::string model = job.config.empty() ? job.preset : job.config;
        const bool others = config.takes_texts() && !config.text_encoder;
        if (!job.text.empty() && !others)
            fail_usage("--text: {} {}", model,
                       config.takes_texts() ? "has a text encoder of its own, which is trained with it"
                                            : "takes classes, no texts");
        if (others && job.text.empty())
            fail_usage(
                "{} takes the features of texts: expected --text, an encoder's checkpoint or a file of "
                "features",
                model);
        if (others) text = std::make_unique<TextSource>(job.text, config, backend);
        training = others ? text->conditions(tokens) : own_conditions(config, tokens, model);
        if (validation == nullptr) return;
        if (!job.validation_text.empty() && (!others || text->encoder() != nullptr))
            fail_usage("--validation-text: without features in --text there is nothing for it to say");
        if (!job.validation_text.empty()) {
            validation_text = std::make_unique<TextSource>(job.validation_text, config, backend);
            validation_text->require_same_encoder(*text);
        }
        held_out = validation_text ? validation_text->conditions(*validation)
                   : others        ? text->conditions(*validation)
                   : config.takes_texts()
                       ? own_conditions(config, *validation, model)
                       : class_conditions(config, validation_numbers(job, tokens, validation));
    }

    std::unique_ptr<TextSource> text, validation_text;
    std::unique_ptr<NatConditions> training, held_out;
};

// Starts with the weights of --init-from, which may have the classes of the tokens in another order.
void start_from(NatTrainer& trainer, const NatJob& job, const TokenFile& tokens) {
    const auto file = open_tensor_file(job.initial);
    require_kind(*file, nat_kind);
    require_fitting(*file, trainer.model());
    const std::vector<std::string> names = class_names_of(*file);
    trainer.start_from(*file,
                       match_classes({job.initial, names}, class_names(tokens), job.ignore_class_names));
}

// Validation loss and sample sheet; `validation` and, on ranks that draw none, `sheet` may be null.
class Evaluation {
  public:
    Evaluation(const NatJob& job, const Comm& comm, NatTrainer& trainer, const TokenFile* validation,
               NatConditions* held_out, NatSheet* sheet, const RunQuality* quality)
        : job_(job),
          comm_(comm),
          trainer_(trainer),
          validation_(validation),
          held_out_(held_out),
          sheet_(sheet),
          quality_(quality) {}

    // Rank 0 evaluates while the others wait.
    std::vector<double> run(const RunFolder& folder, Progress& progress) {
        if (validation_ == nullptr && job_.tokenizer.empty()) return {};
        const std::int64_t step = trainer_.steps_done();
        std::vector<double> loss, quality;
        std::string said = fmt::format("step {}:", step);
        trainer_.with_evaluation_weights([&] {
            if (comm_.rank() > 0) return;
            if (validation_ != nullptr) {
                loss = {trainer_.validation_loss(*validation_, job_.validation_images, *held_out_)};
                said += fmt::format(" validation loss {:.4f}", loss.front());
            }
            if (sheet_ == nullptr) return;
            sheet_->write(folder.sheet(step));
            if (quality_ != nullptr) {
                quality = sheet_->measure(*quality_);
                said += quality_->words(quality);
            }
            said += "  " + folder.sheet(step).string();
        });
        if (comm_.rank() == 0) progress.say(said);
        if (loss.empty() && !quality.empty()) loss = {std::nan("")};
        loss.insert(loss.end(), quality.begin(), quality.end());
        return loss;
    }

  private:
    const NatJob& job_;
    const Comm& comm_;
    NatTrainer& trainer_;
    const TokenFile* validation_;
    NatConditions* held_out_;  // of `validation_`
    NatSheet* sheet_;
    const RunQuality* quality_;
};

// Presets of the paper carry the paper's recipe (Ni et al. 2024), which decays every parameter; other models one
// that learns within minutes.
Recipe recipe_of(const NatConfig& config, const std::optional<NatPaperRecipe>& paper) {
    Recipe recipe;
    recipe.label_drop = 0.15f;
    if (paper) {
        recipe.batch = 2048;
        recipe.ranks_divide = true;
        recipe.steps = paper->steps;
        recipe.peak = [rate = paper->learning_rate](double) { return rate; };
        recipe.warmup = [](std::int64_t) { return std::int64_t{5000}; };
        recipe.cosine = false;
        recipe.dropout = 0.1f;
        recipe.optimizer = {.beta1 = 0.99f,
                            .beta2 = 0.99f,
                            .weight_decay = 0.03f,
                            .decays_all = true,
                            .max_norm = 0,
                            .ema_decay = 0.9999f};
    } else {
        const auto width = static_cast<double>(config.embed_dim);
        recipe.peak = [width](double images) {
            return 2e-3 * std::sqrt(images / 32) * std::min(1.0, 128 / width);
        };
        recipe.warmup = [](std::int64_t steps) { return std::min<std::int64_t>(50, steps / 10); };
        recipe.optimizer = {.beta2 = 0.95f, .weight_decay = 0.03f, .max_norm = 1.0f};
    }
    return recipe;
}

const RecipeWords recipe_words{
    .steps = "2000; paper's presets: 500000, nat_text_s: 150000, muse_cc3m: 285000",
    .batch = "32; paper's presets: 2048 on all together",
    .accumulation = "1",
    .learning_rate =
        "2e-3 sqrt(images per update / 32), times 128 / width for wider models; paper's presets: 4e-4, "
        "muse_cc3m: 2e-4",
    .base_learning_rate = "none",
    .warmup = "50, at most a tenth; paper's presets: 5000",
    .schedule = "cosine; paper's presets: constant",
    .clip = "1; paper's presets: none",
    .weight_decay = "0.03, of matrices; paper's presets: of every parameter",
    .beta1 = "0.9; paper's presets: 0.99",
    .beta2 = "0.95; paper's presets: 0.99",
    .dropout = "0; paper's presets: 0.1, of the tokens' embeddings",
    .label_drop = "0.15",
    .ema = "0; paper's presets: 0.9999",
    .flip = "on"};

TrainingSettings settings_of(const NatJob& job, const NatConfig& config, const TokenFile& tokens, int ranks) {
    const auto paper = job.preset.empty() ? std::nullopt : nat_preset(job.preset).paper;
    const bool cosine =
        job.mask ? *job.mask == "cosine" : paper && paper->cosine_masks && job.mask_beta.empty();
    if (cosine && !job.mask_beta.empty())
        fail_usage("--mask-beta: the masks are --mask cosine's, which have no parameters");
    const std::vector<double> beta = job.mask_beta.empty() ? std::vector<double>{12, 3} : job.mask_beta;
    if (beta.size() != 2) fail_usage("--mask-beta: {} numbers, expected alpha,beta", beta.size());
    for (const double parameter : beta) require_range("mask-beta", parameter, 1e-3, 1e6);
    require_range("label-smoothing", job.label_smoothing, 0, 1);
    OwnSettings own = cosine ? OwnSettings{{"mask-cosine", 1}}
                             : OwnSettings{{"mask-alpha", beta[0]}, {"mask-beta", beta[1]}};
    own.emplace_back("label-smoothing", job.label_smoothing);
    return resolve_training(job.training, recipe_of(config, paper), tokens.count(), ranks, own);
}

void print_plan(NatTrainer& trainer) {
    print_plan(trainer.model().parameters().count(), trainer.state_bytes(),
               "values, gradients, two moments, average if kept", trainer.plan(),
               fmt::format("  in chunks of {:>16} images\n", trainer.chunk()));
}

void train_in_folder(const NatJob& job, const Comm& comm, RunFolder& folder, NatTrainer& trainer,
                     const TokenFile& tokens, const TokenFile* validation, NatConditions* held_out,
                     NatSheet* sheet, const RunQuality* quality) {
    Evaluation evaluation(job, comm, trainer, validation, held_out, sheet, quality);
    trainer.set_evaluation(
        [&](const RunFolder& run, Progress& progress) { return evaluation.run(run, progress); });
    trainer.start();
    train_in_folder(trainer, job.run, trainer.settings(), comm, folder, trainer.description(job.initial),
                    [&] {
                        if (!job.initial.empty()) start_from(trainer, job, tokens);
                    });
}

void run_nat(const NatJob& job, const Comm& comm) {
    comm.require_built();
    job.quality.check();
    if (job.quality.given() && job.tokenizer.empty())
        fail_usage("--quality-features: pictures need the tokenizer of the tokens, --tokenizer");
    const TokenFile tokens(job.tokens);
    const NatConfig config = choose_config(job, tokens);
    require_fitting_tokens(config, tokens);
    std::unique_ptr<TokenFile> validation;
    if (!job.validation.empty()) {
        validation = std::make_unique<TokenFile>(job.validation);
        require_validation(config, tokens, *validation);
    }
    const Backend backend = job.run.backend.backend(comm.local_rank());
    const TrainingSettings settings = settings_of(job, config, tokens, comm.ranks());
    const JobConditions conditions(job, config, tokens, validation.get(), backend);
    NatTrainer trainer(config, settings, backend, job.recompute, job.chunk, tokens, *conditions.training,
                       job.run.ranks(comm), conditions.text ? conditions.text->encoder() : nullptr);
    if (job.run.plan) return print_plan(trainer);
    RunFolder folder = job.run.open_folder(comm, inputs_of(job));
    std::unique_ptr<NatSheet> sheet;
    NatSheetRule rule = job.sheet;
    rule.seed = job.training.seed;
    if (!job.tokenizer.empty() && comm.rank() == 0)
        sheet =
            std::make_unique<NatSheet>(trainer.model(), job.tokenizer, tokens, *conditions.training, rule);
    std::unique_ptr<RunQuality> quality;
    if (job.quality.given()) {
        const TokenizerConfig tokenizer = read_tokenizer_metadata(*open_tensor_file(job.tokenizer)).config;
        quality = std::make_unique<RunQuality>(job.quality, tokenizer.out_ch,
                                               tokenizer.downsampling() * config.img_size, backend, comm);
        trainer.measure_also(quality->columns(), quality->best_column());
    }
    require_memory({trainer.state_bytes(), trainer.plan().bytes,
                    trainer.validation_bytes() + (sheet ? sheet->planned_bytes() : 0),
                    "--recompute, a smaller --chunk, or a smaller --batch with more --accumulation lower the "
                    "activations"},
                   trainer.device(), comm);
    if (comm.local_rank() == 0) tokens.verify();
    if (validation && comm.rank() == 0) validation->verify();
    train_in_folder(job, comm, folder, trainer, tokens, validation.get(), conditions.held_out.get(),
                    sheet.get(), quality.get());
}

void add_nat_flags(CommandLine& app, NatJob& job) {
    std::string presets;
    for (const NatPreset& preset : nat_presets())
        presets += fmt::format("{}{}: {}", presets.empty() ? "" : "; ", preset.name, preset.description);
    app.add_option("--preset", job.preset, "Model by name; classes follow the tokens. " + presets)
        ->type_name("NAME");
    app.add_option(
           "--config", job.config,
           "Model from a JSON file with the keys img_size, codebook_size, embed_dim, depth, num_heads, "
           "mlp_ratio, qkv_bias, num_classes, skip, patch_size; of a model of texts clip_dim, num_clip_token "
           "and, trained with it, text_encoder")
        ->type_name("FILE");
    app.add_option("--tokens", job.tokens, "Training tokens (build/data tokens)")
        ->type_name("FILE")
        ->required();
    app.add_option("--validation", job.validation, "Held-out tokens of the same tokenizer")
        ->type_name("FILE");
    app.add_option(
           "--text", job.text,
           "Of a model of texts without an encoder of its own: the text encoder that encodes the tokens' "
           "captions, or what it made of them (build/data text)")
        ->type_name("FILE");
    app.add_option("--validation-text", job.validation_text, "Features of the held-out tokens' captions")
        ->type_name("FILE");
    app.add_option(
           "--init-from", job.initial,
           "Start from the weights of this checkpoint, a run's or a published .pth; classes are matched "
           "by name")
        ->type_name("FILE");
    app.add_flag("--ignore-class-names", job.ignore_class_names, ignore_class_names_meaning);
}

void add_own_flags(CommandLine& app, NatJob& job) {
    app.add_option(
           "--mask", job.mask,
           "Distribution of the share of tokens that is hidden: beta, or cosine, Muse's (default: beta; "
           "muse_cc3m: cosine)")
        ->check(one_of({"beta", "cosine"}));
    app.add_option("--mask-beta", job.mask_beta, "alpha,beta of the Beta distribution (default 12,3)")
        ->delimiter(',');
    app.add_option("--label-smoothing", job.label_smoothing, "Share of the target that all codes share")
        ->capture_default_str();
    app.add_option("--tokenizer", job.tokenizer,
                   "The tokenizer of the tokens: evaluations draw a sheet of samples with it")
        ->type_name("FILE");
    add_evaluation_flags(app, job.validation_images, job.sheet.columns,
                         "Samples in a row of the sheet, one class each", job.sheet.rows,
                         "Rows of the sheet");
    app.add_option("--sheet-steps", job.sheet.steps,
                   "Steps in which samples are decoded, by the strategy cosine")
        ->capture_default_str()
        ->check(at_least(1));
    app.add_option("--sheet-cfg-max", job.sheet.guidance, "Their guidance scale at the last step, 0 for none")
        ->capture_default_str();
    app.add_option("--chunk", job.chunk,
                   "Images at once: less is less memory (default: about 2048 tokens of them, on a GPU 65536)")
        ->check(at_least(1));
    app.add_flag("--recompute", job.recompute,
                 "Keep only each block's input and compute the rest again: less memory, a third more time");
}

}  // namespace

void add_nat_job(CommandLine& app, const Comm& comm) {
    CommandLine* command =
        app.add_subcommand("nat", "Train a masked-token transformer on an image set's tokens");
    const auto job = std::make_shared<NatJob>();
    add_nat_flags(*command, *job);
    add_training_flags(*command, job->training, recipe_words);
    add_own_flags(*command, *job);
    add_quality_flags(*command, job->quality);
    add_run_flags(*command, job->run);
    add_rank_flags(*command, job->run);
    command->callback([job, &comm] { run_nat(*job, comm); });
}
