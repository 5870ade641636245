// One training run of a masked-token transformer in memory: the model, its optimizer and the planned memory
// of a step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "data/records/tokens.h"
#include "models/nat/checkpoint.h"
#include "models/nat/masks.h"
#include "train/recipe.h"
#include "train/run_state.h"
#include "train/training_loop.h"

class NatTrainer {
  public:
    // Plans a step and a validation; takes no memory yet. `settings` has the model's own --mask-alpha,
    // --mask-beta (of the mask ratio's distribution) and --label-smoothing. `chunk` 0: the model's default.
    // The tokens of `data` fit the model. Of several ranks, all call the functions below together.
    NatTrainer(const NatConfig& config, const TrainingSettings& settings, Backend backend, bool recompute,
               std::int64_t chunk, const TokenFile& data, const RankRule& ranks);

    // Memory of start() and of the first step: parameters, gradients and optimizer state; activations; and
    // the additional memory of a validation.
    std::size_t state_bytes() const { return state_.bytes(); }
    const Plan& plan() const { return plan_; }
    std::size_t validation_bytes() const;
    std::int64_t chunk() const { return chunk_; }
    Device device() const { return tape_.device(); }
    const TrainingSettings& settings() const { return settings_; }

    // Reserves memory and draws the initial weights.
    void start() { state_.start(settings_.seed); }
    // Takes the newest weights of another checkpoint, the embedding of class i from its row order[i].
    // `file` has been found to fit (require_fitting). Throws Error.
    void start_from(const TensorFile& file, std::span<const std::int64_t> order);
    // Continues exactly from the checkpoint. Throws UsageError if it belongs to another run, of other tokens
    // for instance; Error.
    void resume(const SafetensorsFile& file);
    // One file, written by rank 0; other files as in RunState::save.
    void save(const std::filesystem::path& path, std::optional<double> validation_loss, bool with_state);

    // One update over `accumulation` batches; `progress` gets the share that is done. A loss or gradient that
    // is not finite leaves the weights as they were.
    StepResult step(const StepProgress& progress = {});
    // Mean cross-entropy in nats at the hidden tokens of the first `images` records of held-out tokens,
    // without label smoothing: masks drawn as in training, the same in every run. Of the weights in place.
    // `numbers`: what each label of the held-out tokens is in the model.
    double validation_loss(const TokenFile& held_out, std::int64_t images,
                           std::span<const std::int64_t> numbers);

    std::int64_t steps_done() const { return state_.steps_done(); }
    NatTransformer& model() { return model_; }
    // Calls `use` with the averaged weights in place, if an average is kept.
    template <class Use>
    void with_evaluation_weights(Use use) {
        state_.with_average(use);
    }

  private:
    std::uint32_t step_number() const { return static_cast<std::uint32_t>(steps_done()); }
    std::int64_t position() const { return steps_done() * settings_.images_per_step(); }
    MaskRule mask_rule() const { return {settings_.of("mask-alpha"), settings_.of("mask-beta")}; }
    // Adds the batch's summed loss to `total`.
    void run_batch(const NatBatch& batch, const SmoothedLoss& rule, const NatPass& pass, double& total,
                   GradientReadyListener* listener, const StepProgress& progress);

    TrainingSettings settings_;
    const Comm& comm_;
    bool recompute_;
    const TokenFile& data_;
    NatTransformer model_;
    RunState state_;
    std::int64_t chunk_;
    Tape tape_;
    Plan plan_, validation_plan_;
    std::unique_ptr<TokenLoader> loader_;
};
