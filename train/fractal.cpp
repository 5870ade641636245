// `build/train fractal`: trains a fractal model on a packed file.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "data/baselines.h"
#include "data/sheet.h"
#include "models/fractal/sample.h"
#include "models/metrics/likelihood.h"
#include "runtime/backend_flags.h"
#include "runtime/comm.h"
#include "runtime/error.h"
#include "runtime/profile.h"
#include "runtime/text_file.h"
#include "train/fractal_trainer.h"
#include "train/jobs.h"
#include "train/progress.h"
#include "train/run_folder.h"
#include "train/stop_signals.h"

namespace {

struct FractalJob {
    std::string preset, config, data, validation, out, initial;
    BackendFlags backend;
    TrainingFlags training;
    std::int64_t evaluate_every = 0, save_every = 0, log_every = 10, validation_images = 512,
                 sheet_columns = 10, sheet_rows = 2, keep = 2;
    double sheet_guidance = 1, sheet_temperature = 1;
    bool recompute = false, plan = false, profile = false, shard_optimizer = false;
    double bucket = 16;  // MiB
    std::vector<std::int64_t> chunks;
};

// The model asked for, with the classes and channels of the data where a preset leaves them open.
FractalConfig choose_config(const FractalJob& job, const PackedFile* data) {
    if (job.preset.empty() == job.config.empty()) fail_usage("expected either --preset or --config");
    if (!job.config.empty()) return read_fractal_config(job.config);
    FractalConfig config = fractal_preset(job.preset).config;
    if (data != nullptr) {
        config.class_num = static_cast<std::int64_t>(data->classes().size());
        config.channels = data->channels();
    }
    return config;
}

void require_fitting_data(const FractalConfig& config, const PackedFile& data) {
    const std::string path = data.path().string();
    if (data.size() != config.image_size())
        fail_usage("{}: images of size {}, the model takes {}", path, data.size(), config.image_size());
    if (data.channels() != config.channels)
        fail_usage("{}: images with {} channels, the model takes {}", path, data.channels(), config.channels);
    const auto classes = static_cast<std::int64_t>(data.classes().size());
    if (config.class_num > 0 && classes != config.class_num)
        fail_usage("{}: {} classes, the model has {}", path, classes, config.class_num);
}

void print_plan(const FractalTrainer& trainer, const FractalModel& model) {
    const auto mebibytes = [](std::size_t bytes) { return static_cast<double>(bytes) / 0x1p20; };
    fmt::print("{:<28}{:>14}\n", "parameters", model.parameters().count());
    fmt::print("{:<28}{:>10.1f} MiB  values, gradients, two moments, average if kept\n",
               "model and optimizer", mebibytes(trainer.state_bytes()));
    fmt::print("{:<28}{:>10.1f} MiB  {} buffers, {:.1f} MiB alive at once\n", "activations and workspace",
               mebibytes(trainer.plan().bytes), trainer.plan().entries.size(),
               mebibytes(trainer.plan().live_bytes));
    for (std::size_t level = 0; level < trainer.chunks().size(); ++level)
        fmt::print("  level {} in chunks of {:>8} {}\n", level, trainer.chunks()[level],
                   level == 0                             ? "images"
                   : level + 1 == trainer.chunks().size() ? "pixels"
                                                          : "patches");
    fmt::print("{:<28}{:>10.1f} MiB\n", "together", mebibytes(trainer.state_bytes() + trainer.plan().bytes));
}

// Measures validation bits/dim and draws a sample sheet.
class Evaluation {
  public:
    // Plans its memory, and takes none before run(). Rank 0 evaluates while the others wait.
    Evaluation(const FractalJob& job, const Comm& comm, FractalTrainer& trainer, const PackedFile* validation)
        : job_(job), comm_(comm), trainer_(trainer), validation_(validation) {
        if (comm.rank() > 0) return;
        const FractalConfig& config = trainer.model().config();
        columns_ = config.class_num > 0 ? std::min(job.sheet_columns, config.class_num) : job.sheet_columns;
        guidance_ = config.class_num > 0 ? static_cast<float>(job.sheet_guidance) : 1.0f;
        sampler_ =
            std::make_unique<FractalSampler>(trainer.model(), columns_ * job.sheet_rows, guidance_ != 1);
        if (validation != nullptr) likelihood_ = std::make_unique<Likelihood>(trainer.model(), batch_size);
    }

    std::size_t planned_bytes() const {
        return (sampler_ ? sampler_->plan().bytes : 0) + (likelihood_ ? likelihood_->plan().bytes : 0);
    }

    std::optional<double> run(const RunFolder& folder, Progress& progress) {
        std::optional<double> bits;
        trainer_.with_evaluation_weights([&] {
            if (comm_.rank() > 0) return;
            if (validation_ != nullptr) bits = measure();
            write_sheet(folder);
        });
        if (comm_.rank() > 0) return bits;
        const auto sheet = folder.sheet(trainer_.steps_done()).string();
        if (bits)
            progress.say(fmt::format(
                "step {}: validation {:.4f} bits/dim (entropy {:.2f}, PNG {:.2f}, WebP {:.2f})  {}",
                trainer_.steps_done(), *bits, baselines().entropy, baselines().png, baselines().webp, sheet));
        else
            progress.say(fmt::format("step {}: {}", trainer_.steps_done(), sheet));
        return bits;
    }

  private:
    static constexpr std::int64_t batch_size = 32;

    const Baselines& baselines() {
        if (baselines_.images == 0) baselines_ = measure_baselines(*validation_, job_.validation_images);
        return baselines_;
    }

    double measure() {
        likelihood_->restart();
        const std::int64_t images = std::min(job_.validation_images, validation_->count());
        Batch batch;
        for (std::int64_t first = 0; first < images; first += batch_size) {
            read_batch(*validation_, first, std::min(batch_size, images - first), batch);
            const std::vector<std::int64_t> unconditional(batch.labels.size(), -1);
            likelihood_->add(batch.pixels, unconditional);
        }
        return likelihood_->bits_per_dim();
    }

    void write_sheet(const RunFolder& folder) {
        const FractalConfig& config = trainer_.model().config();
        std::vector<std::int64_t> classes;
        for (std::int64_t i = 0; i < columns_ * job_.sheet_rows; ++i)
            classes.push_back(config.class_num > 0 ? i % columns_ : -1);
        SampleRule rule;
        rule.guidance = guidance_;
        rule.temperature = static_cast<float>(job_.sheet_temperature);
        rule.filter_threshold = 1e-4f;
        rule.seed = job_.training.seed;
        const auto images = sampler_->sample(classes, rule);
        write_png(folder.sheet(trainer_.steps_done()),
                  image_sheet(images, static_cast<int>(config.channels),
                              static_cast<int>(config.image_size()), static_cast<int>(columns_)));
    }

    const FractalJob& job_;
    const Comm& comm_;
    FractalTrainer& trainer_;
    const PackedFile* validation_;
    std::int64_t columns_ = 0;
    float guidance_ = 1;
    Baselines baselines_;
    std::unique_ptr<Likelihood> likelihood_;
    std::unique_ptr<FractalSampler> sampler_;
};

// Ranks on the same processor share its memory. All look before any takes its part.
void require_memory(const FractalTrainer& trainer, const Evaluation& evaluation, const Comm& comm) {
    const int sharing = trainer.device() == Device::cpu ? comm.local_ranks() : 1;
    const std::size_t step = trainer.state_bytes() + trainer.plan().bytes,
                      needed = step + evaluation.planned_bytes(),
                      there = static_cast<std::size_t>(
                          comm.smallest(static_cast<std::int64_t>(available_memory(trainer.device()))) /
                          sharing);
    if (needed > there)
        fail(
            "the run needs {:.0f} MiB{} ({:.0f} for the model and its optimizer, {:.0f} for activations, "
            "{:.0f} for "
            "evaluations), "
            "{:.0f} MiB are free{}; {}",
            static_cast<double>(needed) / 0x1p20, comm.ranks() > 1 ? " on each rank" : "",
            static_cast<double>(trainer.state_bytes()) / 0x1p20,
            static_cast<double>(trainer.plan().bytes) / 0x1p20,
            static_cast<double>(evaluation.planned_bytes()) / 0x1p20, static_cast<double>(there) / 0x1p20,
            sharing > 1 ? " for each" : "",
            trainer.state_bytes() > there
                ? "the model alone is too large; --shard-optimizer divides its optimizer among several ranks"
            : step <= there
                ? "fewer --sheet-columns and --sheet-rows need less for evaluations"
                : "--recompute, smaller --chunks, or a smaller --batch with more --accumulation lower the "
                  "activations");
}

std::string config_json(const FractalConfig& config, const TrainingSettings& settings,
                        const PackedFile& data) {
    const nlohmann::ordered_json json{{"model", nlohmann::ordered_json::parse(to_json(config))},
                                      {"training", nlohmann::ordered_json::parse(to_json(settings))},
                                      {"data", {{"images", data.count()}, {"size", data.size()}}}};
    return json.dump(2) + "\n";
}

// What is wrong with a checkpoint, "" if the trainer continues from it. Throws UsageError if it is another
// run's.
std::string resume_from(const std::filesystem::path& path, FractalTrainer& trainer,
                        const FractalConfig& config, const TrainingSettings& settings) {
    try {
        const SafetensorsFile file(path);
        if (read_description(file).config != config)
            fail_usage("{} is of another model: give its --preset or --config, or another --out",
                       path.string());
        require_same_training(file.metadata("training"), settings, path.string());
        trainer.resume(file);
        return "";
    } catch (const UsageError&) {
        throw;
    } catch (const Error& error) {
        return error.what();
    }
}

// Continues from the newest checkpoint that every rank can read; true if there was one. The first rank that
// cannot says why.
bool resume_newest(FractalTrainer& trainer, const Comm& comm, const RunFolder& folder,
                   const FractalConfig& config, const TrainingSettings& settings) {
    const auto steps = comm.of_first(folder.checkpoint_steps());
    for (const std::int64_t step : steps) {
        const std::string error = resume_from(folder.checkpoint(step), trainer, config, settings);
        const std::int64_t failed = comm.smallest(error.empty() ? comm.ranks() : comm.rank());
        if (failed == comm.ranks()) return true;
        if (failed == comm.rank()) fmt::print(stderr, "train: {}; trying the checkpoint before it\n", error);
    }
    if (!steps.empty())
        fail("{}: none of its {} checkpoints can be read", folder.path().string(), steps.size());
    return false;
}

// Sums since the last logged step.
struct Window {
    double loss = 0, bits = 0;
    std::int64_t steps = 0;
    std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};

void train(const FractalJob& job, const Comm& comm, FractalTrainer& trainer, const TrainingSettings& settings,
           const PackedFile& data, Evaluation& evaluation, const RunFolder& folder) {
    const std::int64_t every =
        job.evaluate_every > 0 ? job.evaluate_every : std::max<std::int64_t>(1, settings.steps / 8);
    const std::int64_t save_every = job.save_every > 0 ? job.save_every : every;
    double best = INFINITY;
    if (std::filesystem::exists(folder.best_checkpoint()))
        best = std::stod(SafetensorsFile(folder.best_checkpoint()).metadata("validation_bits_per_dim"));
    Loader loader = trainer.make_loader(data);
    Progress progress(trainer.steps_done(), settings.steps, comm.ranks() == 1);
    Window window;
    bool stops = comm.any(stop_signals::requested());
    while (trainer.steps_done() < settings.steps && !stops) {
        const StepResult result = trainer.step(loader);
        const std::int64_t step = trainer.steps_done();
        if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm))
            fail("step {}: the loss is {}, the gradient norm {}; the run stops, {} {}", step + 1, result.loss,
                 result.gradient_norm, folder.path().string(),
                 folder.checkpoint_steps().empty() ? "holds no checkpoint yet"
                                                   : "holds the last good checkpoint");
        window.loss += result.loss;
        window.bits += result.bits_per_dim;
        ++window.steps;
        const bool last = step == settings.steps, logs = step % job.log_every == 0 || last,
                   evaluates = step % every == 0 || last;
        const auto count = static_cast<double>(window.steps);
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - window.start;
        LogRow row{step,
                   window.loss / count,
                   window.bits / count,
                   static_cast<double>(result.learning_rate),
                   result.gradient_norm,
                   count * static_cast<double>(settings.images_per_step()) / spent.count(),
                   static_cast<double>(peak_resident_memory()) / 0x1p20,
                   std::nullopt};
        progress.show(step,
                      fmt::format("step {}/{}  loss {:.4f}  {:.3f} bits/dim  {:.1f} images/s ", step,
                                  settings.steps, row.loss, row.bits_per_dim, row.images_per_second),
                      logs);
        progress.pause();
        if (evaluates) {
            row.validation_bits_per_dim = evaluation.run(folder, progress);
            const bool better = row.validation_bits_per_dim && *row.validation_bits_per_dim < best;
            if (better) best = *row.validation_bits_per_dim;
            if (comm.any(better)) trainer.save(folder.best_checkpoint(), data.classes(), best, false);
        }
        if (logs || evaluates) {
            folder.append_log(row);
            window = {};
        }
        if (step % save_every == 0 || last)
            folder.save_checkpoint(step, job.keep, [&](const auto& path) {
                trainer.save(path, data.classes(), row.validation_bits_per_dim);
            });
        progress.go_on();
        stops = comm.any(stop_signals::requested());
    }
    if (stops && trainer.steps_done() < settings.steps) {
        folder.save_checkpoint(trainer.steps_done(), job.keep,
                               [&](const auto& path) { trainer.save(path, data.classes(), std::nullopt); });
        progress.say(fmt::format("stopped after step {}; the same command continues", trainer.steps_done()));
    }
}

void run_job(const FractalJob& job, const Comm& comm) {
    comm.require_built();
    std::unique_ptr<PackedFile> data, validation;
    if (!job.data.empty()) data = std::make_unique<PackedFile>(job.data);
    if (!job.validation.empty()) validation = std::make_unique<PackedFile>(job.validation);
    const FractalConfig config = choose_config(job, data.get());
    if (data) require_fitting_data(config, *data);
    if (validation) require_fitting_data(config, *validation);
    const Backend backend = job.backend.backend(comm.local_rank());
    if (!std::isfinite(job.sheet_guidance))
        fail_usage("--sheet-cfg {}: expected a finite number", job.sheet_guidance);
    if (!(job.sheet_temperature > 0) || !std::isfinite(job.sheet_temperature))
        fail_usage("--sheet-temperature {}: expected a positive number", job.sheet_temperature);
    const bool paper = !job.preset.empty() && fractal_preset(job.preset).paper_recipe;
    constexpr std::int64_t imagenet_images =
        1'281'167;  // what the paper trains on; only for a plan without data
    const TrainingSettings settings =
        resolve_training(job.training, paper, *std::ranges::max_element(config.embed_dim_list),
                         data ? data->count() : imagenet_images, comm.ranks());
    if (!(job.bucket > 0 && job.bucket <= 4096))
        fail_usage("--bucket {}: expected more than 0 and at most 4096 MiB", job.bucket);
    const auto bucket_floats = static_cast<std::size_t>(job.bucket * 0x1p20 / sizeof(float));
    FractalTrainer trainer(config, settings, backend, job.recompute, job.chunks,
                           {comm, job.shard_optimizer, bucket_floats});
    if (job.plan) return print_plan(trainer, trainer.model());
    if (!data) fail_usage("--data is required");
    if (job.out.empty()) fail_usage("--out is required");
    Evaluation evaluation(job, comm, trainer, validation.get());
    require_memory(trainer, evaluation, comm);
    if (comm.local_rank() == 0) data->verify();
    if (validation && comm.rank() == 0) validation->verify();

    const RunFolder folder(job.out, comm.rank() == 0);
    trainer.start();
    if (!resume_newest(trainer, comm, folder, config, settings)) {
        if (!job.initial.empty()) trainer.start_from(*open_tensor_file(job.initial));
        folder.write_config(config_json(config, settings, *data));
    } else {
        fmt::print("continuing {} after step {}\n", job.out, trainer.steps_done());
    }
    folder.start_log(trainer.steps_done());
    fmt::print("{} parameters, {} images, {} steps of {} images, {:.0f} MiB planned{}\n",
               trainer.model().parameters().count(), data->count(), settings.steps,
               settings.images_per_step(),
               static_cast<double>(trainer.state_bytes() + trainer.plan().bytes) / 0x1p20,
               comm.ranks() > 1 ? fmt::format(" on each of {} ranks", comm.ranks()) : "");
    stop_signals::finish_step_first();
    if (job.profile) start_profile();
    train(job, comm, trainer, settings, *data, evaluation, folder);
    if (job.profile) fmt::print("{}", profile_table());
}

void add_model_flags(CLI::App& app, FractalJob& job) {
    std::string presets;
    for (const FractalPreset& preset : fractal_presets())
        presets += fmt::format("{}{}: {}", presets.empty() ? "" : "; ", preset.name, preset.description);
    app.add_option("--preset", job.preset, "Model by name; classes and channels follow the data. " + presets);
    app.add_option("--config", job.config,
                   "Model from a JSON file with the keys img_size_list, embed_dim_list, num_blocks_list, "
                   "num_heads_list, generator_type_list, num_conds, guiding_pixel, class_num, channels");
    app.add_option("--data", job.data, "Packed training images (build/data pack)");
    app.add_option("--validation", job.validation, "Packed validation images");
    app.add_option("--out", job.out, "Folder of the run; if it holds checkpoints, the run continues");
    app.add_option("--init-from", job.initial,
                   "Start from the weights of this checkpoint, a run's or a published .pth; another number "
                   "of classes is fine");
    add_backend_flags(app, job.backend);
}

void add_training_flags(CLI::App& app, TrainingFlags& flags) {
    app.add_option("--steps", flags.steps,
                   "Updates of the weights (default 2000; paper's presets: 800 epochs)");
    app.add_option("--epochs", flags.epochs, "The same in passes over the data");
    app.add_option("--batch", flags.batch,
                   "Images at once, on each rank (default 32; paper's presets: 2048 on all together)");
    app.add_option("--accumulation", flags.accumulation, "Batches per update (default 1)");
    app.add_option("--lr", flags.learning_rate,
                   "Peak learning rate (default 5e-3 sqrt(images per update / 32), times 128 / width for "
                   "wider models; paper's presets: by --blr)");
    app.add_option("--blr", flags.base_learning_rate,
                   "Peak learning rate per 256 images of an update (paper's presets: 5e-5)");
    app.add_option("--warmup-steps", flags.warmup_steps,
                   "Linear warm-up in updates (default 50, at most a tenth; paper's presets: 40 epochs)");
    app.add_option("--warmup-epochs", flags.warmup_epochs, "The same in passes over the data");
    app.add_option("--schedule", flags.schedule, "cosine (to 0 at the end) or constant (default cosine)");
    app.add_option("--clip", flags.clip,
                   "Largest global gradient norm, 0 for none (default 1; paper's presets: 3)");
    app.add_option("--weight-decay", flags.weight_decay, "Of matrices (default 0.05)");
    app.add_option("--dropout", flags.dropout,
                   "Probability in the generators' blocks (default 0; paper's presets: 0.1)");
    app.add_option("--label-drop", flags.label_drop,
                   "Probability that an image is trained without its class (default 0.1)");
    app.add_option("--red-weight", flags.red_weight,
                   "Weight of the red channel's loss, the other two have 1 (default 5)");
    app.add_option("--ema", flags.ema_decay,
                   "Decay of a moving average of the weights, 0 for none (default 0)");
    app.add_flag_function(
        "--flip,!--no-flip", [&flags](std::int64_t count) { flags.flip = count > 0; },
        "Mirror images at random (default on)");
    app.add_option("--seed", flags.seed, "Of weights, order, flips, dropout and sample sheets")
        ->capture_default_str();
}

void add_run_flags(CLI::App& app, FractalJob& job) {
    app.add_option("--evaluate-every", job.evaluate_every,
                   "Updates between evaluations (default: an eighth of the run)")
        ->check(CLI::PositiveNumber);
    app.add_option("--validation-images", job.validation_images,
                   "How many validation images an evaluation measures")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    app.add_option("--save-every", job.save_every, "Updates between checkpoints (default: at evaluations)")
        ->check(CLI::PositiveNumber);
    app.add_option("--keep", job.keep, "Checkpoints to keep, besides the best")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    app.add_option("--log-every", job.log_every, "Updates between lines of log.csv")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    app.add_option("--sheet-columns", job.sheet_columns, "Classes on a sample sheet")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    app.add_option("--sheet-rows", job.sheet_rows, "Samples per class on a sheet")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    app.add_option("--sheet-cfg", job.sheet_guidance, "Guidance scale of the sheet")->capture_default_str();
    app.add_option("--sheet-temperature", job.sheet_temperature, "Multiplies the sheet's logits")
        ->capture_default_str();
    app.add_option(
           "--chunks", job.chunks,
           "Sequences at once per level, outermost first (images, patches, pixels): less is less memory")
        ->delimiter(',')
        ->check(CLI::PositiveNumber);
    app.add_flag("--recompute", job.recompute,
                 "Keep only each block's input and compute the rest again: less memory, a third more time");
    app.add_flag(
        "--shard-optimizer", job.shard_optimizer,
        "Of several ranks (mpirun -np N build/train ...), each keeps a part of the optimizer's state");
    app.add_option("--bucket", job.bucket, "Gradients that ranks sum at once, in MiB")->capture_default_str();
    app.add_flag("--plan", job.plan, "Print the memory the run would take, and stop");
    app.add_flag("--profile", job.profile, "Print the time of each kernel at the end");
}

}  // namespace

void add_fractal_job(CLI::App& app, const Comm& comm) {
    CLI::App* command = app.add_subcommand("fractal", "Train a fractal generative model on packed images");
    const auto job = std::make_shared<FractalJob>();
    add_model_flags(*command, *job);
    add_training_flags(*command, job->training);
    add_run_flags(*command, *job);
    command->callback([job, &comm] { run_job(*job, comm); });
}
