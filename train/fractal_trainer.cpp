#include "train/fractal_trainer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>

#include "runtime/error.h"
#include "runtime/image_ops.h"
#include "runtime/random.h"

namespace {

constexpr std::string_view class_embeddings = "class_emb.weight";

}  // namespace

FractalTrainer::FractalTrainer(const FractalConfig& config, const TrainingSettings& settings, Backend backend,
                               bool recompute, ChunkSizes chunks)
    : settings_(settings),
      recompute_(recompute),
      model_(config, backend),
      chunks_(chunks.empty() ? model_.default_chunks() : std::move(chunks)),
      tape_(backend) {
    if (chunks_.size() != config.img_size_list.size())
        fail_usage("--chunks: {} sizes given, expected one per level, {}", chunks_.size(),
                   config.img_size_list.size());
    tape_.set_recording(true);
    Batch batch;
    batch.labels.assign(static_cast<std::size_t>(settings.batch), -1);
    std::vector<double> totals((config.generators() + 1) * static_cast<std::size_t>(config.channels));
    const std::vector<float> scales(totals.size());
    plan_ = plan_job(tape_, [&] { run_batch(batch, {}, scales, totals); });
}

std::size_t FractalTrainer::state_bytes() const {
    const std::size_t slabs = settings_.optimizer.ema_decay > 0 ? 5 : 4,
                      rounded = tape_.activation() == Element::bf16 ? sizeof(bf16) : 0;
    return model_.parameters().slab_floats() * (slabs * sizeof(float) + rounded);
}

void FractalTrainer::start() {
    Parameters& parameters = model_.parameters();
    parameters.allocate(model_.backend(), true);
    parameters.initialize(settings_.seed);
    optimizer_ =
        std::make_unique<Optimizer>(parameters, parameters.device(), settings_.optimizer, tape_.stream());
    optimizer_->start_average();
}

void FractalTrainer::start_from(const TensorFile& file) {
    Parameters& parameters = model_.parameters();
    require_fitting(file, parameters, "", class_embeddings);
    for (const Parameter& parameter : parameters.all()) {
        if (parameter.name == class_embeddings &&
            (!file.contains(parameter.name) || file.shape(parameter.name) != parameter.shape))
            continue;
        load_parameter(file, parameter, "", parameters.values(), parameters.device());
    }
    parameters.round_values();
    optimizer_->start_average();
}

void FractalTrainer::resume(const SafetensorsFile& file) {
    Parameters& parameters = model_.parameters();
    load_slab(file, parameters, "", parameters.values());
    parameters.round_values();
    load_slab(file, parameters, first_moment_prefix, optimizer_->first_moment());
    load_slab(file, parameters, second_moment_prefix, optimizer_->second_moment());
    if (settings_.optimizer.ema_decay > 0) load_slab(file, parameters, average_prefix, optimizer_->average());
    steps_done_ = read_description(file).step;
}

void FractalTrainer::save(const std::filesystem::path& path, const std::vector<std::string>& classes,
                          std::optional<double> validation_bits_per_dim) {
    const Parameters& parameters = model_.parameters();
    CheckpointWriter writer;
    writer.add_slab(parameters, "", parameters.values());
    writer.add_slab(parameters, first_moment_prefix, optimizer_->first_moment());
    writer.add_slab(parameters, second_moment_prefix, optimizer_->second_moment());
    if (settings_.optimizer.ema_decay > 0) writer.add_slab(parameters, average_prefix, optimizer_->average());
    describe(writer, {model_.config(), classes, steps_done_, settings_.optimizer.ema_decay});
    writer.set("training", to_json(settings_));
    writer.set("seed", std::to_string(settings_.seed));
    writer.set("data_position", std::to_string(position()));
    if (validation_bits_per_dim)
        writer.set("validation_bits_per_dim", fmt::format("{}", *validation_bits_per_dim));
    writer.write(path);
}

StepResult FractalTrainer::step(Loader& loader) {
    model_.parameters().zero_gradients(tape_.stream());
    const FractalConfig& config = model_.config();
    std::vector<FractalMasks> masks;
    std::vector<double> terms(config.generators() + 1);
    for (std::int64_t i = 0; i < settings_.accumulation; ++i) {
        std::vector<std::int64_t> samples(static_cast<std::size_t>(settings_.batch));
        std::iota(samples.begin(), samples.end(), position() + i * settings_.batch);
        masks.push_back(training_masks(config, samples, settings_.seed, step_number()));
        const std::vector<double> part = loss_terms(config, masks.back());
        std::ranges::transform(terms, part, terms.begin(), std::plus<>());
    }
    const std::vector<float> scales = loss_scales(config, static_cast<double>(settings_.red_weight), terms);
    std::vector<double> totals(scales.size());
    for (const FractalMasks& batch_masks : masks) {
        const Batch& batch = loader.next();
        run_job(tape_, plan_, [&] { run_batch(batch, batch_masks, scales, totals); });
    }
    StepResult result;
    for (std::size_t i = 0; i < totals.size(); ++i) result.loss += static_cast<double>(scales[i]) * totals[i];
    const double nats = std::accumulate(totals.end() - config.channels, totals.end(), 0.0);
    result.bits_per_dim = nats / (terms.back() * static_cast<double>(config.channels)) / std::numbers::ln2;
    result.learning_rate = settings_.learning_rate.at(steps_done_);
    result.gradient_norm = std::nan("");
    if (!std::isfinite(result.loss)) return result;
    result.gradient_norm = optimizer_->update(steps_done_, result.learning_rate);
    if (std::isfinite(result.gradient_norm)) ++steps_done_;
    return result;
}

void FractalTrainer::run_batch(const Batch& batch, const FractalMasks& masks, std::span<const float> scales,
                               std::vector<double>& totals) {
    const FractalConfig& config = model_.config();
    const auto count = static_cast<std::int64_t>(batch.labels.size());
    const std::int64_t dims = config.channels * config.image_size() * config.image_size();
    const std::vector<std::int32_t> ids = condition_ids(batch);
    const Tensor bytes = tape_.create(count, dims, false, Element::u8),
                 sums = tape_.create(static_cast<std::int64_t>(config.generators()) + 1, config.channels,
                                     false, Element::f64);
    copy_to_tensor(tape_, bytes, batch.pixels.data(), batch.pixels.size());
    copy_to_tensor(tape_, sums, totals.data(), totals.size() * sizeof(double));
    constexpr float jitter = 0.01f;
    const PassRule rule{settings_.dropout, recompute_, jitter, settings_.seed, step_number()};
    model_.loss(tape_, normalize_pixels(tape_, bytes, config.pixel_mean(), config.pixel_deviation()), ids,
                masks, scales, sums, rule, chunks_);
    copy_from_tensor(tape_, totals.data(), sums, totals.size() * sizeof(double));
}

std::vector<std::int32_t> FractalTrainer::condition_ids(const Batch& batch) const {
    const PhiloxKey key = random_key(settings_.seed, "label drop");
    std::vector<std::int32_t> ids;
    for (std::size_t i = 0; i < batch.labels.size(); ++i) {
        const auto sample = static_cast<std::uint64_t>(batch.position) + i;
        const bool dropped = random_uniform(key, sample) < settings_.label_drop;
        ids.push_back(dropped || model_.config().class_num == 0 ? 0 : batch.labels[i] + 1);
    }
    return ids;
}
