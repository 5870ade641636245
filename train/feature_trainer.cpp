#include "train/feature_trainer.h"

#include <algorithm>
#include <cmath>

#include "data/records/class_names.h"
#include "runtime/base/error.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/token_ops.h"
#include "runtime/tensor/random.h"

namespace {

// An image [channels, size, size] turned `quarters` times by 90 degrees, counterclockwise.
void turn(std::uint8_t* turned, const std::uint8_t* image, std::int64_t channels, std::int64_t size,
          std::int32_t quarters) {
    for (std::int64_t c = 0; c < channels; ++c, image += size * size, turned += size * size)
        for (std::int64_t i = 0; i < size; ++i)
            for (std::int64_t j = 0; j < size; ++j) {
                std::int64_t from = i * size + j;
                if (quarters == 1) from = j * size + size - 1 - i;
                if (quarters == 2) from = (size - 1 - i) * size + size - 1 - j;
                if (quarters == 3) from = (size - 1 - j) * size + i;
                turned[i * size + j] = image[from];
            }
}

// Every image, turned as its class says.
std::vector<std::uint8_t> turned(std::span<const std::uint8_t> images, std::span<const std::int32_t> classes,
                                 const FeatureConfig& config) {
    std::vector<std::uint8_t> all(images.size());
    const std::size_t bytes = images.size() / classes.size();
    for (std::size_t i = 0; i < classes.size(); ++i)
        turn(all.data() + i * bytes, images.data() + i * bytes, config.channels, config.image_size,
             classes[i]);
    return all;
}

}  // namespace

FeatureTrainer::FeatureTrainer(const FeatureConfig& config, const TrainingSettings& settings, Backend backend,
                               const PackedFile& data, const Comm& comm)
    : FeatureTrainer(std::make_unique<FeatureClassifier>(config, backend), settings, backend, data, comm) {}

FeatureTrainer::FeatureTrainer(std::unique_ptr<FeatureClassifier> network, const TrainingSettings& settings,
                               Backend backend, const PackedFile& data, const Comm& comm)
    : Trainer(settings, backend, network->parameters(), {comm}), data_(data), network_(std::move(network)) {
    tape_.set_recording(true);
    const std::vector<std::int32_t> classes(static_cast<std::size_t>(settings.batch));
    Score score;
    plan_ = plan_job(tape_, [&] { run_batch({}, classes, 1, score); });
}

std::int64_t FeatureTrainer::check_checkpoint(const SafetensorsFile& file) const {
    const FeatureMetadata metadata = read_feature_metadata(file);
    if (metadata.config != network_->config())
        fail_usage("{} is of another network: give its --preset, or another --out", file.path().string());
    if (!network_->config().rotations)
        require_same_classes({file.path().string(), metadata.classes}, class_names(data_));
    return metadata.step;
}

void FeatureTrainer::write_model(CheckpointWriter& writer) const {
    write_metadata(
        writer, FeatureMetadata{{network_->config().rotations ? std::vector<std::string>() : data_.classes(),
                                 steps_done(), settings_.optimizer.ema_decay},
                                network_->config()});
    writer.set("data_position", std::to_string(position()));
}

StepResult FeatureTrainer::step(const StepProgress& progress) {
    if (!loader_)
        loader_ =
            std::make_unique<Loader>(data_, settings_.batch, settings_.seed, settings_.flip, position());
    network_->parameters().zero_gradients(tape_.stream());
    const auto images = static_cast<double>(settings_.images_per_step());
    const PhiloxKey key = random_key(settings_.seed, "rotation");
    Score score;
    tape_.set_recording(true);
    for (std::int64_t i = 0; i < settings_.accumulation; ++i) {
        const Batch& batch = loader_->next();
        std::vector<std::int32_t> classes = batch.labels;
        const std::vector<std::int64_t> samples = settings_.samples(steps_done(), i, comm_.rank());
        if (network_->config().rotations)
            for (std::size_t n = 0; n < classes.size(); ++n)
                classes[n] = static_cast<std::int32_t>(
                    4 * random_uniform(key, static_cast<std::uint64_t>(samples[n])));
        const std::vector<std::uint8_t> rotated = network_->config().rotations
                                                      ? turned(batch.pixels, classes, network_->config())
                                                      : std::vector<std::uint8_t>();
        run_job(tape_, plan_, [&] {
            run_batch(rotated.empty() ? std::span(batch.pixels) : std::span(rotated), classes,
                      static_cast<float>(1 / images), score);
        });
        if (progress) progress(static_cast<double>(i + 1) / static_cast<double>(settings_.accumulation));
    }
    StepResult result;
    result.loss = score.loss / images;
    result.figures = {score.accuracy / images};
    result.learning_rate = settings_.learning_rate.at(steps_done());
    result.gradient_norm = std::isfinite(result.loss) ? state_.update(result.learning_rate) : std::nan("");
    return result;
}

FeatureTrainer::Score FeatureTrainer::validate(const PackedFile& held_out, std::int64_t images,
                                               std::span<const std::int64_t> numbers) {
    images = std::min(images, held_out.count());
    const bool rotations = network_->config().rotations;
    const std::int32_t views = rotations ? 4 : 1;
    Score score;
    tape_.set_recording(false);
    Batch batch;
    for (std::int64_t first = 0; first < images; first += settings_.batch) {
        read_batch(held_out, first, std::min(settings_.batch, images - first), batch);
        if (!rotations) relabel(batch.labels, numbers);
        for (std::int32_t view = 0; view < views; ++view) {
            std::vector<std::int32_t> classes = batch.labels;
            if (rotations) std::ranges::fill(classes, view);
            const std::vector<std::uint8_t> pixels =
                rotations ? turned(batch.pixels, classes, network_->config()) : batch.pixels;
            // The plan of a step has room for a pass without gradients.
            run_job(tape_, plan_, [&] { run_batch(pixels, classes, 1, score); });
        }
    }
    score.loss /= static_cast<double>(images * views);
    score.accuracy /= static_cast<double>(images * views);
    return score;
}

void FeatureTrainer::run_batch(std::span<const std::uint8_t> images, std::span<const std::int32_t> classes,
                               float scale, Score& score) {
    const FeatureConfig& config = network_->config();
    const auto count = static_cast<std::int64_t>(classes.size());
    const Tensor pictures = tape_.create(count, config.channels * config.image_size * config.image_size,
                                         false, Element::u8),
                 targets = tape_.create(count, 1, false, Element::i32),
                 total = tape_.create(1, 1, false, Element::f64);
    copy_to_tensor(tape_, pictures, images.data(), images.size());
    copy_to_tensor(tape_, targets, classes.data(), classes.size_bytes());
    zero_tensor(tape_, total);
    const std::size_t mark = tape_.mark();
    std::vector<float> values(classes.size() * static_cast<std::size_t>(config.classes));
    {
        const Tensor logits = network_->class_logits(tape_, pictures), readable = to_f32(tape_, logits);
        copy_from_tensor(tape_, values.data(), readable, values.size() * sizeof(float));
        cross_entropy(tape_, logits, targets, {0, scale}, total);
    }
    if (tape_.recording()) tape_.backward(mark);
    double loss = 0;
    copy_from_tensor(tape_, &loss, total, sizeof loss);
    score.loss += loss;
    for (std::size_t i = 0; i < classes.size(); ++i) {
        const auto row = std::span(values).subspan(i * static_cast<std::size_t>(config.classes),
                                                   static_cast<std::size_t>(config.classes));
        score.accuracy += std::ranges::max_element(row) - row.begin() == classes[i] ? 1 : 0;
    }
}
