#include "train/fractal_trainer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>

#include "data/records/class_names.h"
#include "models/fractal/image_values.h"
#include "runtime/base/error.h"
#include "runtime/checkpoint/reordered_rows.h"
#include "runtime/ops/ops.h"
#include "runtime/tensor/random.h"

namespace {

constexpr std::string_view class_embeddings = "class_emb.weight";

}  // namespace

FractalTrainer::FractalTrainer(const FractalConfig& config, const TrainingSettings& settings, Backend backend,
                               bool recompute, ChunkSizes chunks, const ImageRecords* data,
                               const RankRule& ranks)
    : FractalTrainer(std::make_unique<FractalModel>(config, backend), settings, backend, recompute,
                     std::move(chunks), data, ranks) {}

FractalTrainer::FractalTrainer(std::unique_ptr<FractalModel> model, const TrainingSettings& settings,
                               Backend backend, bool recompute, ChunkSizes chunks, const ImageRecords* data,
                               const RankRule& ranks)
    : Trainer(settings, backend, model->parameters(), ranks),
      recompute_(recompute),
      data_(data),
      model_(std::move(model)),
      chunks_(chunks.empty() ? model_->default_chunks() : std::move(chunks)) {
    const FractalConfig& config = model_->config();
    if (chunks_.size() != config.img_size_list.size())
        fail_usage("--chunks: {} sizes given, expected one per level, {}", chunks_.size(),
                   config.img_size_list.size());
    tape_.set_recording(true);
    const std::vector<std::int32_t> labels(static_cast<std::size_t>(settings.batch), -1);
    const ImageBatch batch{{}, labels, 0};
    std::vector<double> totals((config.generators() + 1) * static_cast<std::size_t>(config.channels));
    const std::vector<float> scales(totals.size());
    plan_ = plan_job(tape_, [&] { run_batch(batch, {}, scales, totals, nullptr, {}); });
}

bool FractalTrainer::has_fitting_classes(const TensorFile& file) const {
    const FractalConfig& config = model_->config();
    return config.class_num > 0 && file.contains(class_embeddings) && !file.shape(class_embeddings).empty() &&
           file.shape(class_embeddings).front() == config.class_num;
}

void FractalTrainer::start_from(const TensorFile& file, std::span<const std::int64_t> order) {
    Parameters& parameters = model_->parameters();
    require_fitting(file, parameters, "", class_embeddings);
    for (const Parameter& parameter : parameters.all()) {
        if (parameter.name != class_embeddings)
            load_parameter(file, parameter, "", parameters.values(), parameters.device());
        else if (file.contains(parameter.name) && file.shape(parameter.name) == parameter.shape)
            load_reordered_rows(file, parameter, order, parameters.values(), parameters.device());
    }
    state_.weights_replaced();
    if (comm_.rank() == 0) report_origin("train", file, "");
}

std::int64_t FractalTrainer::check_checkpoint(const SafetensorsFile& file) const {
    require_kind(file, fractal_kind);
    if (model_->config().class_num > 0)
        require_same_classes({file.path().string(), class_names_of(file)}, class_names(*data_));
    const FractalMetadata metadata = read_metadata(file);
    if (metadata.config != model_->config())
        fail_usage("{} is of another model: give its --preset or --config, or another --out",
                   file.path().string());
    if (data_->tokens() != nullptr && metadata.tokenizer != data_->tokens()->format().fingerprint)
        fail_usage(
            "{} was trained on the tokens of another tokenizer than {}: give its tokens, or another --out",
            file.path().string(), data_->path().string());
    return metadata.step;
}

void FractalTrainer::write_model(CheckpointWriter& writer) const {
    FractalMetadata metadata{{data_->classes(), steps_done(), settings_.optimizer.ema_decay},
                             model_->config()};
    if (data_->tokens() != nullptr) metadata.tokenizer = data_->tokens()->format().fingerprint;
    write_metadata(writer, metadata);
    writer.set("data_position", std::to_string(position()));
}

std::unique_ptr<ImageLoader> FractalTrainer::make_loader() const {
    return std::make_unique<ImageLoader>(*data_, settings_.batch, settings_.seed, settings_.flip,
                                         position() + comm_.rank() * settings_.batch,
                                         comm_.ranks() * settings_.batch);
}

StepResult FractalTrainer::step(const StepProgress& progress) {
    if (!loader_) loader_ = make_loader();
    model_->parameters().zero_gradients(tape_.stream());
    const FractalConfig& config = model_->config();
    std::vector<FractalMasks> masks;
    std::vector<double> terms(config.generators() + 1);
    for (std::int64_t i = 0; i < settings_.accumulation; ++i) {
        for (int rank = 0; rank < comm_.ranks(); ++rank) {
            const std::vector<std::int64_t> samples = settings_.samples(steps_done(), i, rank);
            if (rank == comm_.rank())
                masks.push_back(training_masks(config, samples, settings_.seed, step_number()));
            const std::vector<double> part =
                rank == comm_.rank()
                    ? loss_terms(config, masks.back())
                    : loss_terms(config, training_sequences(config, samples, settings_.seed, step_number()));
            std::ranges::transform(terms, part, terms.begin(), std::plus<>());
        }
    }
    const std::vector<float> scales = loss_scales(config, settings_.of("red-weight"), terms);
    std::vector<double> totals(scales.size());
    for (std::size_t i = 0; i < masks.size(); ++i) {
        const ImageBatch batch = loader_->next();
        GradientReadyListener* const listener = i + 1 == masks.size() ? state_.exchange() : nullptr;
        if (listener != nullptr) state_.exchange()->begin(model_->parameters().gradients());
        const StepProgress batch_progress =
            part_of(progress, static_cast<std::int64_t>(i), settings_.accumulation);
        run_job(tape_, plan_, [&] { run_batch(batch, masks[i], scales, totals, listener, batch_progress); });
    }
    if (state_.exchange() != nullptr) state_.exchange()->finish();
    comm_.sum(totals);
    return update(totals, scales, terms.back());
}

StepResult FractalTrainer::update(std::span<const double> totals, std::span<const float> scales,
                                  double pixels) {
    StepResult result;
    for (std::size_t i = 0; i < totals.size(); ++i) result.loss += static_cast<double>(scales[i]) * totals[i];
    const std::int64_t C = model_->config().channels;
    const double nats = std::accumulate(totals.end() - C, totals.end(), 0.0);
    result.figures = {nats / (pixels * static_cast<double>(C)) / std::numbers::ln2};
    result.learning_rate = settings_.learning_rate.at(steps_done());
    result.gradient_norm = std::isfinite(result.loss) ? state_.update(result.learning_rate) : std::nan("");
    return result;
}

void FractalTrainer::run_batch(const ImageBatch& batch, const FractalMasks& masks,
                               std::span<const float> scales, std::vector<double>& totals,
                               GradientReadyListener* listener, const StepProgress& progress) {
    const FractalConfig& config = model_->config();
    const auto count = static_cast<std::int64_t>(batch.labels.size());
    const std::vector<std::int32_t> ids = condition_ids(batch);
    const Tensor sums = tape_.create(static_cast<std::int64_t>(config.generators()) + 1, config.channels,
                                     false, Element::f64);
    copy_to_tensor(tape_, sums, totals.data(), totals.size() * sizeof(double));
    constexpr float jitter = 0.01f;
    const PassRule rule{settings_.dropout, recompute_, jitter, settings_.seed, step_number()};
    model_->loss(tape_, device_images(tape_, config, batch.images, count), ids, masks, scales, sums, rule,
                 chunks_, listener, progress);
    copy_from_tensor(tape_, totals.data(), sums, totals.size() * sizeof(double));
}

std::vector<std::int32_t> FractalTrainer::condition_ids(const ImageBatch& batch) const {
    const PhiloxKey key = random_key(settings_.seed, "label drop");
    std::vector<std::int32_t> ids;
    for (std::size_t i = 0; i < batch.labels.size(); ++i) {
        const auto sample = static_cast<std::uint64_t>(batch.position) + i;
        const bool dropped = random_uniform(key, sample) < settings_.label_drop;
        ids.push_back(dropped || model_->config().class_num == 0 ? 0 : batch.labels[i] + 1);
    }
    return ids;
}
