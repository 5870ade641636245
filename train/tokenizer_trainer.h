// One training run of an image tokenizer in memory: the tokenizer, the discriminator that judges its pictures
// once adversarial training has begun, their optimizers and the planned memory of a step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "data/records/loader.h"
#include "models/nat/adversarial.h"
#include "models/nat/codebook_revival.h"
#include "models/nat/perceptual.h"
#include "models/nat/tokenizer.h"
#include "train/trainer.h"

class TokenizerTrainer : public Trainer {
  public:
    // Plans a step on pictures of the data's size; takes no memory yet. The settings have these of their own:
    // --adversarial-start (update at which the discriminator joins), --adversarial-layers,
    // --adversarial-filters, --revive-after and --perceptual-weight. `perceptual` (null: without) must
    // outlive the trainer. One rank alone.
    TokenizerTrainer(const TokenizerConfig& config, const TrainingSettings& settings, Backend backend,
                     const PackedFile& data, const Comm& comm, const PerceptualLoss* perceptual);

    // With the discriminator's, and the perceptual loss's weights.
    std::size_t state_bytes() const override;
    // Of the step that needs more, with or without the discriminator.
    const Plan& plan() const override {
        return plan_.bytes < adversarial_plan_.bytes ? adversarial_plan_ : plan_;
    }
    Tokenizer& tokenizer() { return *tokenizer_; }

    void start() override;
    // The weights of another tokenizer of the same shape, its average if it has one, in place of the initial
    // ones. Throws Error naming the first tensor that does not fit.
    void start_from(const TensorFile& file);

    std::vector<Figure> figures() const override;
    // One update of the tokenizer and, in adversarial training, then one of the discriminator. The loss is
    // that of the reconstruction, the weighted perceptual one with it, and the quantiser. If the
    // discriminator's gradient is not finite, its norm is returned, and the tokenizer has moved.
    StepResult step(const StepProgress& progress) override;

  private:
    TokenizerTrainer(std::unique_ptr<Tokenizer> tokenizer, const TrainingSettings& settings, Backend backend,
                     const PackedFile& data, const Comm& comm, const PerceptualLoss* perceptual);
    std::vector<std::string> own_columns() const override {
        return {"validation_l1", "validation_psnr", "validation_ssim", "validation_perplexity"};
    }
    std::int64_t check_checkpoint(const SafetensorsFile& file) const override;
    void write_model(CheckpointWriter& writer) const override;
    bool save_state(CheckpointWriter& writer, const std::filesystem::path& path, bool with_state) override;
    void resume_state(const SafetensorsFile& file, std::int64_t steps) override;

    // The sums of a step's losses, and the weight of the adversarial one.
    struct Sums {
        double distance = 0, perceptual = 0, quantiser = 0, generator_loss = 0, real = 0, generated = 0;
        float weight = 0;
    };
    bool adversarial() const { return steps_done() >= adversarial_start_; }
    std::int64_t pixels_per_step() const;
    std::int64_t logits_per_step() const;
    // The batch forward and backward, for both sides. `progress` gets the share that is done, by the
    // convolutions of each part: a backward pass takes twice as long as its forward pass.
    void run_batch(const Batch& batch, bool adversarial, Sums& sums, const StepProgress& progress);
    // Counts the codes, and keeps the vectors if entries are to be revived.
    void note_codes(const Tensor& z, const Tensor& codes);
    void run_discriminator(const Tensor& pictures, const Tensor& reconstruction, Sums& sums);
    // The perceptual loss: adds its weighted gradient, and its sum over pictures.
    void add_perceptual(const Tensor& reconstruction, const Tensor& pictures, Sums& sums);
    StepResult result_of(const Sums& sums) const;

    const PackedFile& data_;
    std::int64_t image_size_, adversarial_start_;
    const PerceptualLoss* perceptual_;
    double perceptual_weight_;
    std::unique_ptr<Tokenizer> tokenizer_;
    Discriminator discriminator_;
    RunState discriminator_state_;
    CodebookRevival revival_;
    Plan adversarial_plan_;
    std::unique_ptr<Loader> loader_;
    std::vector<std::int64_t> code_counts_;  // of the step under way
    std::vector<float> vectors_;             // z of its batch, if entries are to be revived
};
