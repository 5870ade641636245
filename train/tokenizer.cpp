// `build/train tokenizer`: trains an image tokenizer on a packed file.
#include <algorithm>
#include <cmath>
#include <memory>

#include "data/images/sheet.h"
#include "models/metrics/reconstruction.h"
#include "models/nat/image_codec.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/ranks/comm.h"
#include "train/jobs.h"
#include "train/run_flags.h"
#include "train/tokenizer_trainer.h"

namespace {

struct TokenizerJob {
    std::string preset, config, data, validation, initial;
    TrainingFlags training;
    RunFlags run;
    std::vector<std::string> perceptual;  // files
    double perceptual_weight = 1;
    std::optional<std::int64_t> adversarial_start;
    std::int64_t adversarial_layers = 2, adversarial_filters = 64, revive_after = 20, validation_images = 256,
                 sheet_columns = 10, sheet_rows = 2;
};

std::vector<NamedPath> inputs_of(const TokenizerJob& job) {
    std::vector<NamedPath> inputs{{"--config", job.config},
                                  {"--data", job.data},
                                  {"--validation", job.validation},
                                  {"--init-from", job.initial}};
    for (const std::string& file : job.perceptual) inputs.push_back({"--perceptual", file});
    return inputs;
}

// The requested tokenizer; a preset takes its number of channels from the data. With neither a preset nor a
// file, that of the initial checkpoint.
TokenizerConfig choose_config(const TokenizerJob& job, const PackedFile& data) {
    if (job.preset.empty() && job.config.empty() && !job.initial.empty())
        return read_tokenizer_metadata(*open_tensor_file(job.initial)).config;
    if (job.preset.empty() == job.config.empty()) fail_usage("expected either --preset or --config");
    TokenizerConfig config =
        job.config.empty() ? tokenizer_preset(job.preset).config : read_tokenizer_config(job.config);
    if (!job.preset.empty()) config.in_channels = config.out_ch = data.channels();
    return config;
}

void require_fitting_data(const TokenizerConfig& config, const PackedFile& data, std::int64_t size) {
    const std::string path = data.path().string();
    if (data.channels() != config.in_channels)
        fail_usage("{}: images with {} channels, the tokenizer takes {}", path, data.channels(),
                   config.in_channels);
    if (data.size() != size) fail_usage("{}: images of size {}, expected {}", path, data.size(), size);
}

// Null if not requested.
std::unique_ptr<PerceptualLoss> perceptual_loss(const TokenizerJob& job, const PackedFile& data,
                                                Backend backend) {
    if (job.perceptual.empty()) return nullptr;
    PerceptualLoss::require_fitting(data.channels(), {data.size(), data.size()}, data.path().string());
    return load_perceptual_loss(job.perceptual, backend);
}

// Measures how close reconstructions are and draws some of them beside their pictures.
class Evaluation {
  public:
    Evaluation(const TokenizerJob& job, Tokenizer& tokenizer, const PackedFile& data,
               const PackedFile* validation)
        : job_(job),
          shown_(validation != nullptr ? *validation : data),
          measured_(validation),
          codec_(tokenizer, data.size(), batch_size, data.path().string()) {
        const std::int64_t columns = sheet_columns(),
                           rows = std::min<std::int64_t>(job.sheet_rows, shown_.count() / columns);
        require_sheet(2 * columns * rows, shown_.channels(), shown_.size(), columns);
    }

    std::size_t planned_bytes() const { return codec_.planned_bytes(); }

    // The values of TokenizerTrainer::validation_columns, if there are validation data.
    std::vector<double> run(std::int64_t step, const RunFolder& folder, Progress& progress) {
        const auto sheet = folder.path() / fmt::format("reconstructions-{:08}.png", step);
        write_sheet(sheet);
        if (measured_ == nullptr) {
            progress.say(fmt::format("step {}: {}", step, sheet.string()));
            return {};
        }
        const std::vector<double> measured = measure();
        progress.say(
            fmt::format("step {}: validation L1 {:.4f}, PSNR {:.2f} dB, SSIM {:.3f}, perplexity {:.0f}  {}",
                        step, measured[0], measured[1], measured[2], measured[3], sheet.string()));
        return measured;
    }

  private:
    static constexpr std::int64_t batch_size = 32;

    std::vector<double> measure() {
        const std::int64_t images = std::min(job_.validation_images, measured_->count());
        std::vector<double> means(3);
        std::vector<std::int64_t> counts(static_cast<std::size_t>(codec_.codebook_size()));
        Batch batch;
        for (std::int64_t first = 0; first < images; first += batch_size) {
            const std::int64_t count = std::min(batch_size, images - first);
            read_batch(*measured_, first, count, batch);
            const std::vector<std::int32_t> codes = codec_.encode(batch.pixels);
            const ReconstructionQuality quality = reconstruction_quality(
                batch.pixels, codec_.decode(codes), measured_->channels(), measured_->size());
            const double share = static_cast<double>(count) / static_cast<double>(images);
            means[0] += share * quality.l1;
            means[1] += share * quality.psnr;
            means[2] += share * quality.ssim;
            std::ranges::transform(counts, code_counts(codes, codec_.codebook_size()), counts.begin(),
                                   std::plus<>());
        }
        means.push_back(codebook_perplexity(counts));
        return means;
    }

    std::int64_t sheet_columns() const { return std::min<std::int64_t>(job_.sheet_columns, shown_.count()); }

    // Rows of pictures, each above the row of their reconstructions.
    void write_sheet(const std::filesystem::path& path) {
        const std::int64_t columns = sheet_columns();
        std::vector<std::uint8_t> rows;
        for (std::int64_t row = 0; row < job_.sheet_rows && (row + 1) * columns <= shown_.count(); ++row) {
            Batch batch;
            read_batch(shown_, row * columns, columns, batch);
            const std::vector<std::uint8_t> after = codec_.decode(codec_.encode(batch.pixels));
            rows.insert(rows.end(), batch.pixels.begin(), batch.pixels.end());
            rows.insert(rows.end(), after.begin(), after.end());
        }
        write_png(path, image_sheet(rows, shown_.channels(), shown_.size(), static_cast<int>(columns)));
    }

    const TokenizerJob& job_;
    const PackedFile& shown_;
    const PackedFile* measured_;
    ImageCodec codec_;
};

// The published preset carries VQGAN's recipe (Adam, 4.5e-6 per image of an update, betas 0.5 and 0.9);
// others one that learns within minutes.
Recipe recipe_of(bool published) {
    Recipe recipe;
    recipe.batch = 16;
    recipe.steps = published ? 250'000 : 2000;
    recipe.peak = [published](double images) {
        return published ? 4.5e-6 * images : 1e-3 * std::sqrt(images / 16);
    };
    recipe.warmup = [](std::int64_t steps) { return std::min<std::int64_t>(50, steps / 10); };
    recipe.cosine = !published;
    recipe.optimizer = {.beta1 = published ? 0.5f : 0.9f,
                        .beta2 = published ? 0.9f : 0.95f,
                        .weight_decay = 0,
                        .max_norm = published ? 0.0f : 1.0f};
    return recipe;
}

const RecipeWords recipe_words{.steps = "2000; vqgan_f16: 250000",
                               .batch = "16",
                               .accumulation = "",
                               .learning_rate = "1e-3 sqrt(batch / 16); vqgan_f16: 4.5e-6 per image",
                               .base_learning_rate = "",
                               .warmup = "50, at most a tenth",
                               .schedule = "cosine; vqgan_f16: constant",
                               .clip = "1; vqgan_f16: 0",
                               .weight_decay = "0",
                               .beta1 = "0.9; vqgan_f16: 0.5",
                               .beta2 = "0.95; vqgan_f16: 0.9",
                               .dropout = "",
                               .label_drop = "",
                               .ema = "",
                               .flip = "on"};

OwnSettings own_settings(const TokenizerJob& job, std::int64_t start) {
    return {{"adversarial-start", static_cast<double>(start)},
            {"adversarial-layers", static_cast<double>(job.adversarial_layers)},
            {"adversarial-filters", static_cast<double>(job.adversarial_filters)},
            {"revive-after", static_cast<double>(job.revive_after)},
            {"perceptual-weight", job.perceptual.empty() ? 0 : job.perceptual_weight}};
}

TrainingSettings resolve(const TokenizerJob& job, std::int64_t images) {
    const bool published = job.preset == "vqgan_f16";
    const Recipe recipe = recipe_of(published);
    const std::int64_t steps = resolve_training(job.training, recipe, images, 1).steps;
    return resolve_training(
        job.training, recipe, images, 1,
        own_settings(job, job.adversarial_start.value_or(published ? steps / 2 : most_steps)));
}

void print_plan(TokenizerTrainer& trainer) {
    print_plan(trainer.tokenizer().parameters().count(), trainer.state_bytes(),
               "values, gradients, two moments, of the discriminator as well", trainer.plan(), "");
}

void train_in_folder(const TokenizerJob& job, const Comm& comm, RunFolder& folder, TokenizerTrainer& trainer,
                     const PackedFile& data, Evaluation& evaluation) {
    trainer.set_evaluation([&](const RunFolder& run, Progress& progress) {
        return evaluation.run(trainer.steps_done(), run, progress);
    });
    trainer.start();
    train_in_folder(trainer, job.run, trainer.settings(), comm, folder,
                    {.model = to_json(trainer.tokenizer().config()),
                     .data = fmt::format(R"({{"images": {}, "size": {}, "checksum": "{:08x}"}})",
                                         data.count(), data.size(), data.fingerprint()),
                     .initial = job.initial,
                     .backend = trainer.tokenizer().backend(),
                     .parameters = trainer.tokenizer().parameters().count(),
                     .images = data.count(),
                     .planned_bytes = trainer.state_bytes() + trainer.plan().bytes},
                    [&] {
                        if (!job.initial.empty()) trainer.start_from(*open_tensor_file(job.initial));
                    });
}

void run_job(const TokenizerJob& job, const Comm& comm) {
    if (comm.ranks() > 1)
        fail_usage(
            "train tokenizer: started as {} ranks, expected one: its codebook is not shared between "
            "ranks",
            comm.ranks());
    const PackedFile data(job.data);
    std::unique_ptr<PackedFile> validation;
    if (!job.validation.empty()) validation = std::make_unique<PackedFile>(job.validation);
    const TokenizerConfig config = choose_config(job, data);
    require_fitting_data(config, data, data.size());
    if (validation) require_fitting_data(config, *validation, data.size());
    const Backend backend = job.run.backend.backend(comm.local_rank());
    const std::unique_ptr<PerceptualLoss> perceptual = perceptual_loss(job, data, backend);
    TokenizerTrainer trainer(config, resolve(job, data.count()), backend, data, comm, perceptual.get());
    if (job.run.plan) return print_plan(trainer);
    RunFolder folder = job.run.open_folder(comm, inputs_of(job));
    Evaluation evaluation(job, trainer.tokenizer(), data, validation.get());
    require_memory({trainer.state_bytes(), trainer.plan().bytes, evaluation.planned_bytes(),
                    "a smaller --batch lowers the activations"},
                   trainer.device(), comm);
    data.verify();
    if (validation) validation->verify();
    train_in_folder(job, comm, folder, trainer, data, evaluation);
}

void add_perceptual_flags(CommandLine& app, TokenizerJob& job) {
    app.add_option(
           "--perceptual", job.perceptual,
           "Weights of a perceptual loss that joins L1 (LPIPS with VGG16): FILE or FILE,FILE, torchvision's "
           "vgg16 and LPIPS's vgg.pth (default: none)")
        ->type_name("FILE")
        ->delimiter(',')
        ->expected(1, 2);
    app.add_option("--perceptual-weight", job.perceptual_weight,
                   "What the perceptual loss is multiplied with")
        ->capture_default_str()
        ->check(above_zero());
}

void add_own_flags(CommandLine& app, TokenizerJob& job) {
    const auto count = [&](const char* name, std::int64_t& value, const char* meaning) {
        app.add_option(name, value, meaning)->capture_default_str()->check(at_least(1));
    };
    app.add_option(
           "--adversarial-start", job.adversarial_start,
           "Update at which the discriminator joins; that of the last or later: never (default: never; "
           "vqgan_f16: half of the run)")
        ->check(at_least(0));
    count("--adversarial-layers", job.adversarial_layers,
          "Strided convolutions of the discriminator: 3 judge patches of 70 pixels, 2 of 34, 1 of 16");
    count("--adversarial-filters", job.adversarial_filters, "Channels of its first convolution");
    count("--revive-after", job.revive_after,
          "Updates without use after which a codebook entry is placed anew");
    add_evaluation_flags(app, job.validation_images, job.sheet_columns, "Pictures in a row of a sheet",
                         job.sheet_rows, "Rows of pictures on a sheet, each with its reconstructions below");
}

}  // namespace

void add_tokenizer_job(CommandLine& app, const Comm& comm) {
    CommandLine* command = app.add_subcommand("tokenizer", "Train an image tokenizer on packed images");
    const auto job = std::make_shared<TokenizerJob>();
    std::string presets;
    for (const TokenizerPreset& preset : tokenizer_presets())
        presets += fmt::format("{}{}: {}", presets.empty() ? "" : "; ", preset.name, preset.description);
    command->add_option("--preset", job->preset, "Tokenizer by name; channels follow the data. " + presets)
        ->type_name("NAME");
    command->add_option("--config", job->config, "Tokenizer from a JSON file with VQGAN's keys")
        ->type_name("FILE");
    command->add_option("--data", job->data, "Packed training images (build/data pack)")
        ->type_name("FILE")
        ->required();
    command->add_option("--validation", job->validation, "Packed validation images")->type_name("FILE");
    command
        ->add_option(
            "--init-from", job->initial,
            "Start from the weights of this tokenizer, a run's or a published .pth; without --preset "
            "and --config it says which model it is")
        ->type_name("FILE");
    add_training_flags(*command, job->training, recipe_words);
    add_own_flags(*command, *job);
    add_perceptual_flags(*command, *job);
    add_run_flags(*command, job->run);
    command->callback([job, &comm] { run_job(*job, comm); });
}
