// One training run of a fractal model in memory: the model, its optimizer and the planned memory of a step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/records/loader.h"
#include "models/fractal/checkpoint.h"
#include "models/fractal/fractal.h"
#include "train/recipe.h"
#include "train/run_state.h"
#include "train/training_loop.h"

class FractalTrainer {
  public:
    // Plans a step; takes no memory yet. `settings` has the model's own --red-weight. Empty `chunks`: the
    // model's defaults. Of several ranks, all call the functions below together.
    FractalTrainer(const FractalConfig& config, const TrainingSettings& settings, Backend backend,
                   bool recompute, ChunkSizes chunks, const RankRule& ranks);

    // Memory of start() and of the first step: parameters, gradients and optimizer state; activations.
    std::size_t state_bytes() const { return state_.bytes(); }
    const Plan& plan() const { return plan_; }
    const ChunkSizes& chunks() const { return chunks_; }
    Device device() const { return tape_.device(); }
    const TrainingSettings& settings() const { return settings_; }

    // Reserves memory and draws the initial weights.
    void start() { state_.start(settings_.seed); }
    // Takes the newest weights of another checkpoint, the embedding of class i from its row order[i]; the
    // class embeddings stay as drawn if their number differs. Throws Error naming the first tensor that does
    // not fit.
    void start_from(const TensorFile& file, std::span<const std::int64_t> order);
    // Whether the file has embeddings of as many classes.
    bool has_fitting_classes(const TensorFile& file) const;
    // Continues exactly from the checkpoint. Throws UsageError if it belongs to another run, Error.
    void resume(const SafetensorsFile& file);
    // One file, written by rank 0; other files as in RunState::save.
    void save(const std::filesystem::path& path, const std::vector<std::string>& classes,
              std::optional<double> validation_bits_per_dim, bool with_state);

    // One update over `accumulation` batches of `data`, the same in every step; figures: bits/dim of the
    // pixels that the step predicted, the plain mean over channels (the loss has the red weight). A loss or
    // gradient that is not finite leaves the weights as they were. `progress` gets the share of the update
    // that is done.
    StepResult step(const PackedFile& data, const StepProgress& progress = {});

    std::int64_t steps_done() const { return state_.steps_done(); }
    FractalModel& model() { return model_; }
    // Calls `use` with the averaged weights in place, if an average is kept.
    template <class Use>
    void with_evaluation_weights(Use use) {
        state_.with_average(use);
    }

  private:
    std::uint32_t step_number() const { return static_cast<std::uint32_t>(steps_done()); }
    std::int64_t position() const { return steps_done() * settings_.images_per_step(); }
    // The batches of this rank, from the run's current position.
    std::unique_ptr<Loader> make_loader(const PackedFile& data) const;
    void run_batch(const Batch& batch, const FractalMasks& masks, std::span<const float> scales,
                   std::vector<double>& totals, GradientReadyListener* listener,
                   const StepProgress& progress);
    StepResult update(std::span<const double> totals, std::span<const float> scales, double pixels);
    std::vector<std::int32_t> condition_ids(const Batch& batch) const;

    TrainingSettings settings_;
    const Comm& comm_;
    bool recompute_;
    FractalModel model_;
    RunState state_;
    ChunkSizes chunks_;
    Tape tape_;
    Plan plan_;
    std::unique_ptr<Loader> loader_;
};
