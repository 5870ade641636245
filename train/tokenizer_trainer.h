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
#include "train/recipe.h"
#include "train/run_state.h"
#include "train/training_loop.h"

class TokenizerTrainer {
  public:
    // Plans a step on pictures of `image_size`; takes no memory yet. The settings have these of their own:
    // --adversarial-start (update at which the discriminator joins), --adversarial-layers,
    // --adversarial-filters, --revive-after and --perceptual-weight. `perceptual` (null: without) must
    // outlive the trainer. One rank alone.
    TokenizerTrainer(const TokenizerConfig& config, std::int64_t image_size, const TrainingSettings& settings,
                     Backend backend, const Comm& comm, const PerceptualLoss* perceptual);

    // With the perceptual loss's weights.
    std::size_t state_bytes() const;
    // Of the step that needs more, with or without the discriminator.
    const Plan& plan() const { return plan_.bytes < adversarial_plan_.bytes ? adversarial_plan_ : plan_; }
    Device device() const { return tape_.device(); }
    const TrainingSettings& settings() const { return settings_; }
    Tokenizer& tokenizer() { return tokenizer_; }

    // Reserves memory and draws the initial weights.
    void start();
    // The weights of another tokenizer of the same shape, its average if it has one, in place of the initial
    // ones. Throws Error naming the first tensor that does not fit.
    void start_from(const TensorFile& file);
    // Continues exactly from the checkpoint. Throws UsageError if it belongs to another run, Error.
    void resume(const SafetensorsFile& file);
    void save(const std::filesystem::path& path, std::optional<double> validation_l1, bool with_state);

    std::vector<Figure> figures() const;
    // One update of the tokenizer and, in adversarial training, then one of the discriminator. The loss is
    // that of the reconstruction, the weighted perceptual one with it, and the quantiser. A loss or gradient
    // that is not finite leaves the weights as they were; if it is the discriminator's, that norm is
    // returned, and the tokenizer has moved. `progress` gets the share of the update that is done.
    StepResult step(const PackedFile& data, const StepProgress& progress = {});
    std::int64_t steps_done() const { return state_.steps_done(); }

  private:
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

    TrainingSettings settings_;
    std::int64_t image_size_, adversarial_start_;
    const PerceptualLoss* perceptual_;
    double perceptual_weight_;
    Tokenizer tokenizer_;
    Discriminator discriminator_;
    RunState state_, discriminator_state_;
    CodebookRevival revival_;
    Tape tape_;
    Plan plan_, adversarial_plan_;
    std::unique_ptr<Loader> loader_;
    std::vector<std::int64_t> code_counts_;  // of the step under way
    std::vector<float> vectors_;             // z of its batch, if entries are to be revived
};
