// `build/train fractal`: trains a fractal model on a packed file or, of codes, on a token file.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "data/images/sheet.h"
#include "data/records/baselines.h"
#include "data/records/class_names.h"
#include "data/records/image_records.h"
#include "models/fractal/picture_sampler.h"
#include "models/metrics/likelihood.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/ranks/comm.h"
#include "train/fractal_trainer.h"
#include "train/jobs.h"
#include "train/run_flags.h"
#include "train/run_quality.h"

namespace {

struct FractalJob {
    std::string preset, config, data, tokens, validation, initial, tokenizer;
    TrainingFlags training;
    std::optional<double> red_weight;
    RunFlags run;
    QualityFlags quality;
    std::int64_t validation_images = 512, sheet_columns = 10, sheet_rows = 2;
    double sheet_guidance = 1, sheet_temperature = 1;
    bool recompute = false, ignore_class_names = false;
    std::vector<std::int64_t> chunks;
};

std::vector<NamedPath> inputs_of(const FractalJob& job) {
    return {{"--config", job.config},
            {"--data", job.data},
            {"--tokens", job.tokens},
            {"--tokenizer", job.tokenizer},
            {"--validation", job.validation},
            {"--init-from", job.initial},
            {"--quality-features", job.quality.features},
            {"--quality-reference", job.quality.reference}};
}

// The requested model; a preset takes its number of classes and its channels or codes from the data.
FractalConfig choose_config(const FractalJob& job, const ImageRecords* data) {
    if (job.preset.empty() == job.config.empty()) fail_usage("expected either --preset or --config");
    FractalConfig config =
        job.config.empty() ? fractal_preset(job.preset).config : read_fractal_config(job.config);
    const std::string& model = job.config.empty() ? job.preset : job.config;
    if (config.of_codes() && !job.data.empty())
        fail_usage("--data {}: the model {} draws codes, expected --tokens", job.data, model);
    if (!config.of_codes() && !job.tokens.empty())
        fail_usage("--tokens {}: the model {} draws pixels, expected --data", job.tokens, model);
    if (data == nullptr || !job.config.empty()) return config;
    config.class_num = static_cast<std::int64_t>(data->classes().size());
    if (config.of_codes())
        config.vocabulary = data->tokens()->format().codebook_size;
    else
        config.channels = data->packed()->channels();
    config.validate(data->path().string());
    return config;
}

void require_fitting_data(const FractalConfig& config, const ImageRecords& data) {
    const std::string path = data.path().string();
    if (const PackedFile* const packed = data.packed()) {
        if (packed->size() != config.image_size())
            fail_usage("{}: images of size {}, the model takes {}", path, packed->size(),
                       config.image_size());
        if (packed->channels() != config.channels)
            fail_usage("{}: images with {} channels, the model takes {}", path, packed->channels(),
                       config.channels);
    } else {
        data.tokens()->require_grid(config.image_size(), config.vocabulary);
    }
    const auto classes = static_cast<std::int64_t>(data.classes().size());
    if (config.class_num > 0 && classes != config.class_num)
        fail_usage("{}: {} classes, the model has {}", path, classes, config.class_num);
}

// The classes of the data are the model's, those of validation images must be the same, as must the tokenizer.
void require_matching(const FractalJob& job, const FractalConfig& config, const ImageRecords& data,
                      const ImageRecords& validation) {
    if (data.tokens() != nullptr)
        validation.tokens()->require_tokenizer(data.tokens()->format().fingerprint, data.path().string());
    match_classes(class_names(data), class_names(validation),
                  job.ignore_class_names || config.class_num == 0);
}

// The tokenizer of the training tokens, null without --tokenizer.
std::unique_ptr<Tokenizer> load_tokenizer_of(const FractalJob& job, const TokenFile* tokens,
                                             Backend backend) {
    if (job.tokenizer.empty()) return nullptr;
    const auto file = open_tensor_file(job.tokenizer);
    auto tokenizer = load_tokenizer(*file, backend);
    report_origin("train", *file, tokenizer_prefix(*file));
    tokens->require_tokenizer(tokenizer_fingerprint(codebook_values(*tokenizer), tokenizer->config().n_embed),
                              job.tokenizer);
    return tokenizer;
}

// Starts with the weights of --init-from, which may have the classes of the data in another order.
void start_from(FractalTrainer& trainer, const FractalJob& job, const ImageRecords& data) {
    const auto file = open_tensor_file(job.initial);
    require_kind(*file, fractal_kind);
    const std::vector<std::string> names = class_names_of(*file);
    const bool by_number = job.ignore_class_names || !trainer.has_fitting_classes(*file);
    trainer.start_from(*file, match_classes({job.initial, names}, class_names(data), by_number));
}

void print_plan(FractalTrainer& trainer) {
    const ChunkSizes& chunks = trainer.chunks();
    std::string levels;
    for (std::size_t level = 0; level < chunks.size(); ++level)
        levels += fmt::format("  level {} in chunks of {:>8} {}\n", level, chunks[level],
                              level == 0 ? "images"
                              : level + 1 == chunks.size()
                                  ? trainer.model().config().of_codes() ? "tokens" : "pixels"
                                  : "patches");
    print_plan(trainer.model().parameters().count(), trainer.state_bytes(),
               "values, gradients, two moments, average if kept", trainer.plan(), levels);
}

// Measures validation bits/dim and draws a sample sheet, of a model of codes if its tokenizer is given.
class Evaluation {
  public:
    // Plans its memory, and takes none before run(). Rank 0 evaluates while the others wait.
    Evaluation(const FractalJob& job, const Comm& comm, FractalTrainer& trainer,
               const ImageRecords* validation, const Tokenizer* tokenizer, const RunQuality* quality)
        : job_(job), comm_(comm), trainer_(trainer), validation_(validation), quality_(quality) {
        if (comm.rank() > 0) return;
        const FractalConfig& config = trainer.model().config();
        if (!config.of_codes() || tokenizer != nullptr) plan_sheet(tokenizer);
        if (validation != nullptr) likelihood_ = std::make_unique<Likelihood>(trainer.model(), batch_size);
    }

    std::size_t planned_bytes() const {
        return (sampler_ ? sampler_->planned_bytes() : 0) + (likelihood_ ? likelihood_->plan().bytes : 0);
    }

    // Validation bits/dim, if there are data for them, and the quality of drawn pictures.
    std::vector<double> run(const RunFolder& folder, Progress& progress) {
        std::optional<double> bits;
        std::vector<double> quality;
        trainer_.with_evaluation_weights([&] {
            if (comm_.rank() > 0) return;
            if (validation_ != nullptr) bits = measure();
            if (sampler_) write_sheet(folder);
            if (quality_ != nullptr) quality = measure_quality();
        });
        if (comm_.rank() > 0 || (!bits && !sampler_)) return {};
        std::string said = fmt::format("step {}:", trainer_.steps_done());
        if (bits) said += validation_words(*bits);
        if (!quality.empty()) said += quality_->words(quality);
        if (sampler_) said += "  " + folder.sheet(trainer_.steps_done()).string();
        progress.say(said);
        if (!bits && quality.empty()) return {};
        quality.insert(quality.begin(), bits.value_or(std::nan("")));
        return quality;
    }

  private:
    static constexpr std::int64_t batch_size = 32;

    void plan_sheet(const Tokenizer* tokenizer) {
        const FractalConfig& config = trainer_.model().config();
        columns_ = config.class_num > 0 ? std::min(job_.sheet_columns, config.class_num) : job_.sheet_columns;
        channels_ = picture_channels(config, tokenizer);
        size_ = picture_size(config, tokenizer);
        require_sheet(columns_ * job_.sheet_rows, channels_, size_, columns_);
        guidance_ = config.class_num > 0 ? static_cast<float>(job_.sheet_guidance) : 1.0f;
        sampler_ = std::make_unique<PictureSampler>(
            trainer_.model(), tokenizer,
            std::max(columns_ * job_.sheet_rows, quality_ ? quality_->batch() : 0), guidance_ != 1);
    }

    std::string validation_words(double bits) {
        if (const TokenFile* const tokens = validation_->tokens()) {
            const auto f = static_cast<double>(tokens->format().downsampling);
            return fmt::format(" validation {:.4f} bits/token, {:.4f} bits/pixel", bits, bits / (f * f));
        }
        if (baselines_.images == 0)
            baselines_ = measure_baselines(*validation_->packed(), job_.validation_images);
        return fmt::format(" validation {:.4f} bits/dim (entropy {:.2f}, PNG {:.2f}, WebP {:.2f})", bits,
                           baselines_.entropy, baselines_.png, baselines_.webp);
    }

    double measure() {
        likelihood_->restart();
        const std::int64_t images = std::min(job_.validation_images, validation_->count());
        ImageReader reader(*validation_);
        for (std::int64_t first = 0; first < images; first += batch_size) {
            const ImageBatch batch = reader.read(first, std::min(batch_size, images - first));
            likelihood_->add(batch.images, std::vector<std::int64_t>(batch.labels.size(), -1));
        }
        return likelihood_->bits_per_dim();
    }

    // Samples number `first` to `first` + n - 1, of the first `columns` classes in turn.
    std::vector<std::uint8_t> draw(std::int64_t first, std::int64_t n, std::int64_t columns) {
        const FractalConfig& config = trainer_.model().config();
        std::vector<std::int64_t> classes;
        for (std::int64_t i = first; i < first + n; ++i)
            classes.push_back(config.class_num > 0 ? i % columns : -1);
        SampleRule rule;
        rule.guidance = guidance_;
        rule.temperature = static_cast<float>(job_.sheet_temperature);
        rule.filter_threshold = 1e-4f;
        rule.seed = job_.training.seed;
        rule.first_image = first;
        return sampler_->sample(classes, rule);
    }

    std::vector<double> measure_quality() {
        return quality_->measure([&](std::int64_t first, std::int64_t n) {
            return draw(first, n, trainer_.model().config().class_num);
        });
    }

    void write_sheet(const RunFolder& folder) {
        const auto images = draw(0, columns_ * job_.sheet_rows, columns_);
        write_png(folder.sheet(trainer_.steps_done()),
                  image_sheet(images, static_cast<int>(channels_), static_cast<int>(size_),
                              static_cast<int>(columns_)));
    }

    const FractalJob& job_;
    const Comm& comm_;
    FractalTrainer& trainer_;
    const ImageRecords* validation_;
    const RunQuality* quality_;
    std::int64_t columns_ = 0, channels_ = 0, size_ = 0;  // of the sheet and its pictures
    float guidance_ = 1;
    Baselines baselines_;
    std::unique_ptr<Likelihood> likelihood_;
    std::unique_ptr<PictureSampler> sampler_;
};

// Presets of the paper carry the paper's recipe (section 5); other models one that learns at batch 32 within
// minutes, with a learning rate that the model's largest width bounds.
Recipe recipe_of(const FractalConfig& config, bool paper) {
    Recipe recipe;
    recipe.label_drop = 0.1f;
    recipe.optimizer = {.beta2 = 0.95f, .weight_decay = 0.05f, .max_norm = paper ? 3.0f : 1.0f};
    if (paper) {
        recipe.batch = 2048;
        recipe.ranks_divide = true;
        recipe.epochs = 800;
        recipe.peak = [](double images) { return 5e-5 * images / 256; };
        recipe.warmup_epochs = 40;
        recipe.dropout = 0.1f;
    } else {
        const auto widest = static_cast<double>(*std::ranges::max_element(config.embed_dim_list));
        recipe.peak = [widest](double images) {
            return 5e-3 * std::sqrt(images / 32) * std::min(1.0, 128.0 / widest);
        };
        recipe.warmup = [](std::int64_t steps) { return std::min<std::int64_t>(50, steps / 10); };
    }
    return recipe;
}

const RecipeWords recipe_words{
    .steps = "2000; paper's presets: 800 epochs",
    .batch = "32; paper's presets: 2048 on all together",
    .accumulation = "1",
    .learning_rate =
        "5e-3 sqrt(images per update / 32), times 128 / width for wider models; paper's presets: "
        "by --blr",
    .base_learning_rate = "none; paper's presets: 5e-5",
    .warmup = "50, at most a tenth; paper's presets: 40 epochs",
    .schedule = "cosine",
    .clip = "1; paper's presets: 3",
    .weight_decay = "0.05, of matrices",
    .beta1 = "0.9",
    .beta2 = "0.95",
    .dropout = "0; paper's presets: 0.1",
    .label_drop = "0.1",
    .ema = "0",
    .flip = "on"};

RunDescription description_of(const FractalJob& job, FractalTrainer& trainer, const ImageRecords& data) {
    RunDescription description{.model = to_json(trainer.model().config()),
                               .data = {},
                               .initial = job.initial,
                               .backend = trainer.model().backend(),
                               .parameters = trainer.model().parameters().count(),
                               .images = data.count(),
                               .planned_bytes = trainer.state_bytes() + trainer.plan().bytes};
    if (const PackedFile* const packed = data.packed()) {
        description.data = fmt::format(R"({{"images": {}, "size": {}, "checksum": "{:08x}"}})", data.count(),
                                       packed->size(), data.fingerprint());
    } else {
        description.data = described_tokens(*data.tokens());
        description.data_key = "tokens";
    }
    return description;
}

void train_in_folder(const FractalJob& job, const Comm& comm, RunFolder& folder, FractalTrainer& trainer,
                     const ImageRecords& data, Evaluation& evaluation) {
    trainer.set_evaluation(
        [&](const RunFolder& run, Progress& progress) { return evaluation.run(run, progress); });
    trainer.start();
    train_in_folder(trainer, job.run, trainer.settings(), comm, folder, description_of(job, trainer, data),
                    [&] {
                        if (!job.initial.empty()) start_from(trainer, job, data);
                    });
}

void check_flags(const FractalJob& job) {
    if (!std::isfinite(job.sheet_guidance))
        fail_usage("--sheet-cfg {}: expected a finite number", job.sheet_guidance);
    if (!(job.sheet_temperature > 0) || !std::isfinite(job.sheet_temperature))
        fail_usage("--sheet-temperature {}: expected a positive number", job.sheet_temperature);
    job.quality.check();
    if (job.red_weight) require_range("red-weight", *job.red_weight, 0, 1e6);
    if (!job.tokenizer.empty() && job.tokens.empty())
        fail_usage("--tokenizer {}: makes pictures of codes, expected --tokens", job.tokenizer);
    if (job.quality.given() && !job.tokens.empty() && job.tokenizer.empty())
        fail_usage("--quality-features: pictures need the tokenizer of the tokens, --tokenizer");
}

void run_job(const FractalJob& job, const Comm& comm) {
    comm.require_built();
    std::unique_ptr<ImageRecords> data, validation;
    if (!job.data.empty() || !job.tokens.empty()) data = std::make_unique<ImageRecords>(job.data, job.tokens);
    const FractalConfig config = choose_config(job, data.get());
    if (!job.validation.empty())
        validation = std::make_unique<ImageRecords>(config.of_codes() ? "" : job.validation,
                                                    config.of_codes() ? job.validation : "");
    if (data) require_fitting_data(config, *data);
    if (validation) require_fitting_data(config, *validation);
    if (data && validation) require_matching(job, config, *data, *validation);
    const Backend backend = job.run.backend.backend(comm.local_rank());
    check_flags(job);
    if (job.red_weight && config.channels == 1)
        fail_usage("--red-weight {}: the model has one channel, expected one of red, green and blue",
                   *job.red_weight);
    const bool paper = !job.preset.empty() && fractal_preset(job.preset).paper_recipe;
    constexpr std::int64_t imagenet_images =
        1'281'167;  // the paper's number of training images; only for a plan without data
    const TrainingSettings settings =
        resolve_training(job.training, recipe_of(config, paper), data ? data->count() : imagenet_images,
                         comm.ranks(), {{"red-weight", job.red_weight.value_or(5)}});
    FractalTrainer trainer(config, settings, backend, job.recompute, job.chunks, data.get(),
                           job.run.ranks(comm));
    if (job.run.plan) return print_plan(trainer);
    if (!data) fail_usage("{} is required", config.of_codes() ? "--tokens" : "--data");
    const auto tokenizer = load_tokenizer_of(job, data->tokens(), backend);
    RunFolder folder = job.run.open_folder(comm, inputs_of(job));
    std::unique_ptr<RunQuality> quality;
    if (job.quality.given()) {
        quality = std::make_unique<RunQuality>(job.quality, picture_channels(config, tokenizer.get()),
                                               picture_size(config, tokenizer.get()), backend, comm);
        trainer.measure_also(quality->columns(), quality->best_column());
    }
    Evaluation evaluation(job, comm, trainer, validation.get(), tokenizer.get(), quality.get());
    require_memory({trainer.state_bytes(), trainer.plan().bytes, evaluation.planned_bytes(),
                    "--recompute, smaller --chunks, or a smaller --batch with more --accumulation lower the "
                    "activations"},
                   trainer.device(), comm);
    if (comm.local_rank() == 0) data->verify();
    if (validation && comm.rank() == 0) validation->verify();
    train_in_folder(job, comm, folder, trainer, *data, evaluation);
}

void add_model_flags(CommandLine& app, FractalJob& job) {
    std::string presets;
    for (const FractalPreset& preset : fractal_presets())
        presets += fmt::format("{}{}: {}", presets.empty() ? "" : "; ", preset.name, preset.description);
    app.add_option("--preset", job.preset,
                   "Model by name; classes and channels or codes follow the data. " + presets)
        ->type_name("NAME");
    app.add_option("--config", job.config,
                   "Model from a JSON file with the keys img_size_list, embed_dim_list, num_blocks_list, "
                   "num_heads_list, generator_type_list, num_conds, guiding_pixel, class_num, channels or, "
                   "of a model "
                   "of a tokenizer's codes, vocabulary")
        ->type_name("FILE");
    Option* const data = app.add_option("--data", job.data,
                                        "Packed training images (build/data pack); required, but for --plan")
                             ->type_name("FILE");
    app.add_option("--tokens", job.tokens,
                   "Of a model of codes, in place of --data: training tokens (build/data tokens)")
        ->type_name("FILE")
        ->excludes(data);
    app.add_option("--validation", job.validation,
                   "Packed validation images; of a model of codes, tokens of the same tokenizer")
        ->type_name("FILE");
    app.add_option("--tokenizer", job.tokenizer,
                   "The tokenizer of the tokens: evaluations draw a sheet of samples with it")
        ->type_name("FILE");
    app.add_option("--init-from", job.initial,
                   "Start from the weights of this checkpoint, a run's or a published .pth; another number "
                   "of classes is fine, as many are matched by name")
        ->type_name("FILE");
    app.add_flag("--ignore-class-names", job.ignore_class_names, ignore_class_names_meaning);
}

void add_own_flags(CommandLine& app, FractalJob& job) {
    app.add_option("--red-weight", job.red_weight, "Weight of the red channel's loss, the other two have 1 (default: 5)");
    add_evaluation_flags(app, job.validation_images, job.sheet_columns, "Classes on a sample sheet",
                         job.sheet_rows, "Samples per class on a sheet");
    app.add_option("--sheet-cfg", job.sheet_guidance, "Guidance scale of the sheet")->capture_default_str();
    app.add_option("--sheet-temperature", job.sheet_temperature, "Multiplies the sheet's logits")
        ->capture_default_str();
    app.add_option(
           "--chunks", job.chunks,
           "Sequences at once per level, outermost first (images, patches, pixels): less is less memory "
           "(default: about 2048 tokens of each, on a GPU 65536)")
        ->delimiter(',')
        ->check(at_least(1));
    app.add_flag("--recompute", job.recompute,
                 "Keep only each block's input and compute the rest again: less memory, a third more time");
}

}  // namespace

void add_fractal_job(CommandLine& app, const Comm& comm) {
    CommandLine* command = app.add_subcommand(
        "fractal", "Train a fractal generative model on packed images or an image set's tokens");
    const auto job = std::make_shared<FractalJob>();
    add_model_flags(*command, *job);
    add_training_flags(*command, job->training, recipe_words);
    add_own_flags(*command, *job);
    add_quality_flags(*command, job->quality);
    add_run_flags(*command, job->run);
    add_rank_flags(*command, job->run);
    command->callback([job, &comm] { run_job(*job, comm); });
}
