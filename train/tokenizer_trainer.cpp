#include "train/tokenizer_trainer.h"

#include <algorithm>
#include <cmath>

#include "models/metrics/reconstruction.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/error.h"
#include "runtime/ops/adversarial_ops.h"
#include "runtime/ops/image_ops.h"
#include "runtime/ops/ops.h"

namespace {

constexpr const char *last_used_name = "codebook_last_used", *perceptual_key = "perceptual";

// Identity of the perceptual loss's weights in checkpoints; "": none.
std::string perceptual_weights(const PerceptualLoss* loss) {
    return loss == nullptr ? "" : fmt::format("{:08x}", loss->fingerprint());
}

// Throws UsageError unless the checkpoint's run had the same perceptual loss.
void require_same_perceptual_loss(const SafetensorsFile& file, const PerceptualLoss* loss) {
    const auto entry = file.metadata().find(perceptual_key);
    const std::string before = entry == file.metadata().end() ? "" : entry->second;
    if (before == perceptual_weights(loss)) return;
    const char* const was = before.empty() ? "without --perceptual" : "with --perceptual";
    const char* const now = loss == nullptr  ? "without it"
                            : before.empty() ? "with it"
                                             : "with other weights";
    fail_usage("{} was trained {}, now it goes on {}: give what it had, or another --out",
               file.path().string(), was, now);
}

// A tensor that sums are added to, from 0.
Tensor zero_total(Tape& tape) {
    const Tensor total = tape.create(1, 1, false, Element::f64);
    zero_tensor(tape, total);
    return total;
}

void read_total(Tape& tape, double& sum, const Tensor& total) {
    copy_from_tensor(tape, &sum, total, sizeof sum);
}

}  // namespace

TokenizerTrainer::TokenizerTrainer(const TokenizerConfig& config, const TrainingSettings& settings,
                                   Backend backend, const PackedFile& data, const Comm& comm,
                                   const PerceptualLoss* perceptual)
    : TokenizerTrainer(std::make_unique<Tokenizer>(config, backend), settings, backend, data, comm,
                       perceptual) {}

TokenizerTrainer::TokenizerTrainer(std::unique_ptr<Tokenizer> tokenizer, const TrainingSettings& settings,
                                   Backend backend, const PackedFile& data, const Comm& comm,
                                   const PerceptualLoss* perceptual)
    : Trainer(settings, backend, tokenizer->parameters(), {comm}),
      data_(data),
      image_size_(data.size()),
      adversarial_start_(static_cast<std::int64_t>(settings.of("adversarial-start"))),
      perceptual_(perceptual),
      perceptual_weight_(settings.of("perceptual-weight")),
      tokenizer_(std::move(tokenizer)),
      discriminator_(
          {tokenizer_->config().out_ch, static_cast<std::int64_t>(settings.of("adversarial-filters")),
           static_cast<std::int64_t>(settings.of("adversarial-layers"))},
          backend),
      discriminator_state_(discriminator_.parameters(), backend, settings.optimizer, {comm}),
      revival_(tokenizer_->config().n_embed, static_cast<std::int64_t>(settings.of("revive-after")),
               settings.seed),
      code_counts_(static_cast<std::size_t>(tokenizer_->config().n_embed)) {
    tokenizer_->grid({image_size_, image_size_}, "--data");
    tape_.set_recording(true);
    Batch batch;
    batch.labels.resize(static_cast<std::size_t>(settings.batch));
    Sums sums;
    plan_ = plan_job(tape_, [&] { run_batch(batch, false, sums, {}); });
    if (adversarial_start_ < settings.steps)
        adversarial_plan_ = plan_job(tape_, [&] { run_batch(batch, true, sums, {}); });
}

std::size_t TokenizerTrainer::state_bytes() const {
    return state_.bytes() + discriminator_state_.bytes() +
           (perceptual_ != nullptr ? perceptual_->bytes() : 0);
}

void TokenizerTrainer::start() {
    state_.start(settings_.seed);
    discriminator_state_.start(settings_.seed);
}

void TokenizerTrainer::start_from(const TensorFile& file) {
    require_kind(file, tokenizer_kind);
    Parameters& parameters = tokenizer_->parameters();
    const std::string_view prefix = has_average(file) ? average_prefix : "";
    load_tokenizer_weights(file, parameters, prefix, parameters.values());
    report_origin("train", file, prefix);
    state_.weights_replaced();
    revival_.keep_places();
}

std::int64_t TokenizerTrainer::check_checkpoint(const SafetensorsFile& file) const {
    require_kind(file, tokenizer_kind);
    const TokenizerMetadata metadata = read_tokenizer_metadata(file);
    if (metadata.config != tokenizer_->config())
        fail_usage("{} is of another tokenizer: give its --preset or --config, or another --out",
                   file.path().string());
    require_same_perceptual_loss(file, perceptual_);
    return metadata.step;
}

void TokenizerTrainer::resume_state(const SafetensorsFile& file, std::int64_t steps) {
    state_.resume(file, steps);
    discriminator_state_.resume(file, std::max<std::int64_t>(0, steps - adversarial_start_));
    const std::span<const float> last_used = file.floats(last_used_name);
    if (last_used.size() != revival_.last_used().size())
        fail("{}: {} has {} entries, expected {}", file.path().string(), last_used_name, last_used.size(),
             revival_.last_used().size());
    std::ranges::copy(last_used, revival_.last_used().begin());
}

bool TokenizerTrainer::save_state(CheckpointWriter& writer, const std::filesystem::path& path,
                                  bool with_state) {
    if (!state_.save(writer, path, with_state) || !discriminator_state_.save(writer, path, with_state))
        return false;
    writer.add(last_used_name, {tokenizer_->config().n_embed}, revival_.last_used().data(), Device::cpu);
    return true;
}

void TokenizerTrainer::write_model(CheckpointWriter& writer) const {
    write_metadata(writer, TokenizerMetadata{{{}, steps_done(), 0}, tokenizer_->config(), image_size_});
    if (perceptual_ != nullptr) writer.set(perceptual_key, perceptual_weights(perceptual_));
}

std::vector<Figure> TokenizerTrainer::figures() const {
    std::vector<Figure> all = {{"l1", "L1 {:.4f}"},
                               {"quantiser", "quantiser {:.4f}"},
                               {"perplexity", "{:.0f} codes"},
                               {"adversarial", "adversarial {:.3f}"},
                               {"adversarial_weight", "x {:.3g}"},
                               {"discriminator", "discriminator {:.3f}"}};
    if (perceptual_ != nullptr) all.push_back({"perceptual", "perceptual {:.4f}"});
    return all;
}

std::int64_t TokenizerTrainer::pixels_per_step() const {
    return settings_.images_per_step() * image_size_ * image_size_ * tokenizer_->config().out_ch;
}

std::int64_t TokenizerTrainer::logits_per_step() const {
    const MapSize logits = discriminator_.logits_size({image_size_, image_size_});
    return settings_.images_per_step() * logits.height * logits.width;
}

StepResult TokenizerTrainer::step(const StepProgress& progress) {
    if (!loader_)
        loader_ = std::make_unique<Loader>(data_, settings_.batch, settings_.seed, settings_.flip,
                                           steps_done() * settings_.images_per_step());
    const bool judged = adversarial();
    tokenizer_->parameters().zero_gradients(tape_.stream());
    discriminator_.parameters().zero_gradients(tape_.stream());
    std::ranges::fill(code_counts_, 0);
    vectors_.clear();
    Sums sums;
    const Batch& batch = loader_->next();
    run_job(tape_, judged ? adversarial_plan_ : plan_, [&] { run_batch(batch, judged, sums, progress); });
    const std::int64_t step = steps_done();
    StepResult result = result_of(sums);
    if (!std::isfinite(result.loss)) return result;
    result.gradient_norm = state_.update(result.learning_rate);
    if (!std::isfinite(result.gradient_norm)) return result;
    if (judged) {
        const double norm = discriminator_state_.update(result.learning_rate);
        if (!std::isfinite(norm)) result.gradient_norm = norm;  // ends the run
    }
    if (!vectors_.empty()) {
        revival_.revive(*tokenizer_, vectors_, step);
        tokenizer_->parameters().round_values();
    }
    return result;
}

StepResult TokenizerTrainer::result_of(const Sums& sums) const {
    const TokenizerConfig& config = tokenizer_->config();
    const std::int64_t f = config.downsampling();
    const auto elements = static_cast<double>(settings_.images_per_step() * (image_size_ / f) *
                                              (image_size_ / f) * config.z_channels);
    const double distance = sums.distance / static_cast<double>(pixels_per_step()),
                 quantiser = (1 + config.beta) * sums.quantiser / elements,
                 logits = static_cast<double>(logits_per_step()),
                 perceptual = sums.perceptual / static_cast<double>(settings_.images_per_step());
    StepResult result;
    result.loss = distance + perceptual_weight_ * perceptual + quantiser;
    result.learning_rate = settings_.learning_rate.at(steps_done());
    result.gradient_norm = std::nan("");
    result.figures = {distance,
                      quantiser,
                      codebook_perplexity(code_counts_),
                      sums.generator_loss / logits,
                      static_cast<double>(sums.weight),
                      (sums.real + sums.generated) / 2 / logits};
    if (perceptual_ != nullptr) result.figures.push_back(perceptual);
    return result;
}

void TokenizerTrainer::run_batch(const Batch& batch, bool adversarial, Sums& sums,
                                 const StepProgress& progress) {
    const auto report = [&](double share) {
        if (progress && !tape_.planning()) progress(share);
    };
    report(0);
    const auto count = static_cast<std::int64_t>(batch.labels.size());
    const std::int64_t C = tokenizer_->config().in_channels, side = image_size_;
    const MapSize size{side, side}, grid = tokenizer_->grid(size, "--data");
    const Tensor bytes = tape_.create(count, C * side * side, false, Element::u8);
    copy_to_tensor(tape_, bytes, batch.pixels.data(), batch.pixels.size());
    const Tensor pictures = picture_maps(tape_, bytes, C, side);
    const std::size_t mark = tape_.mark();
    Tensor reconstruction;
    {
        const Tensor z = tokenizer_->encode(tape_, pictures, size), codes = tokenizer_->codes(tape_, z);
        report(0.1);
        note_codes(z, codes);
        const Tensor quantiser = zero_total(tape_), distance = zero_total(tape_);
        const auto scale = 1.0f / static_cast<float>(z.rows() * z.width());
        const Tensor features =
            tokenizer_->decode_features(tape_, tokenizer_->quantise(tape_, z, codes, scale, quantiser), grid);
        reconstruction = tokenizer_->to_pixels(tape_, features, size);
        report(0.3);
        add_perceptual(reconstruction, pictures, sums);
        const AdversarialScales scales{1.0f / static_cast<float>(pixels_per_step()),
                                       1.0f / static_cast<float>(logits_per_step())};
        if (adversarial) {
            const Tensor generator_loss = zero_total(tape_), weight = tape_.create(1, 1, false);
            generator_gradient(tape_, discriminator_, reconstruction, pictures, size,
                               {features, &tokenizer_->last_layer()}, scales,
                               {distance, generator_loss, weight});
            read_total(tape_, sums.generator_loss, generator_loss);
            copy_from_tensor(tape_, &sums.weight, weight, sizeof sums.weight);
        } else {
            l1_loss(tape_, reconstruction, pictures, scales.pixels, distance);
        }
        read_total(tape_, sums.distance, distance);
        read_total(tape_, sums.quantiser, quantiser);
    }
    report(0.4);
    tape_.backward(mark);
    report(adversarial ? 0.9 : 1);
    if (adversarial) run_discriminator(pictures, reconstruction, sums);
}

void TokenizerTrainer::add_perceptual(const Tensor& reconstruction, const Tensor& pictures, Sums& sums) {
    if (perceptual_ == nullptr) return;
    const Tensor total = zero_total(tape_);
    const double scale = perceptual_weight_ / static_cast<double>(settings_.images_per_step());
    perceptual_->add(tape_, reconstruction, pictures, {image_size_, image_size_}, static_cast<float>(scale),
                     total);
    read_total(tape_, sums.perceptual, total);
}

void TokenizerTrainer::note_codes(const Tensor& z, const Tensor& codes) {
    const Tensor vectors = to_f32(tape_, z);
    if (tape_.planning()) return;
    std::vector<std::int32_t> host(static_cast<std::size_t>(codes.rows()));
    copy_from_tensor(tape_, host.data(), codes, host.size() * sizeof(std::int32_t));
    for (const std::int32_t code : host) ++code_counts_[static_cast<std::size_t>(code)];
    revival_.note(host, steps_done());
    if (!revival_.needed(steps_done())) return;
    vectors_.resize(static_cast<std::size_t>(z.rows() * z.width()));
    copy_from_tensor(tape_, vectors_.data(), vectors, vectors_.size() * sizeof(float));
}

// The generator's side has left gradients in the discriminator that mean nothing to it.
void TokenizerTrainer::run_discriminator(const Tensor& pictures, const Tensor& reconstruction, Sums& sums) {
    if (!tape_.planning()) discriminator_.parameters().zero_gradients(tape_.stream());
    const Tensor real = zero_total(tape_), generated = zero_total(tape_);
    discriminator_gradient(tape_, discriminator_, pictures, reconstruction, {image_size_, image_size_},
                           1.0f / static_cast<float>(logits_per_step()), real, generated);
    read_total(tape_, sums.real, real);
    read_total(tape_, sums.generated, generated);
}
