// One training run of a fractal model in memory: the model, its optimizer and the planned memory of a step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/loader.h"
#include "models/fractal/checkpoint.h"
#include "models/fractal/fractal.h"
#include "runtime/optimizer.h"
#include "train/recipe.h"

struct StepResult {
    double loss = 0;           // with the red weight
    double bits_per_dim = 0;   // plain mean over channels, of the pixels that the step predicted
    double gradient_norm = 0;  // before clipping
    float learning_rate = 0;
};

class FractalTrainer {
  public:
    // Plans a step; takes no memory yet. Empty `chunks`: the model's defaults.
    FractalTrainer(const FractalConfig& config, const TrainingSettings& settings, Backend backend,
                   bool recompute, ChunkSizes chunks);

    // What allocate() and the first step will take: parameters, gradients and optimizer state, then
    // activations.
    std::size_t state_bytes() const;
    const Plan& plan() const { return plan_; }
    const ChunkSizes& chunks() const { return chunks_; }
    Device device() const { return tape_.device(); }
    std::size_t used_bytes() const { return tape_.arena().used_bytes(); }

    // Reserves memory and draws the initial weights.
    void start();
    // Takes the newest weights of another checkpoint; the class embeddings stay as drawn if their number
    // differs. Throws Error naming the first tensor that does not fit.
    void start_from(const TensorFile& file);
    // Continues exactly where the checkpoint stands. Throws Error.
    void resume(const SafetensorsFile& file);
    void save(const std::filesystem::path& path, const std::vector<std::string>& classes,
              std::optional<double> validation_bits_per_dim);

    // One update over `accumulation` batches. A loss or gradient that is not finite leaves the weights as
    // they were.
    StepResult step(Loader& loader);

    std::int64_t steps_done() const { return steps_done_; }
    std::int64_t position() const { return steps_done_ * settings_.images_per_step(); }
    FractalModel& model() { return model_; }
    // Calls `use` with the averaged weights in place, if an average is kept.
    template <class Use>
    void with_evaluation_weights(Use use) {
        if (settings_.optimizer.ema_decay > 0) model_.parameters().use_values(optimizer_->average());
        use();
        model_.parameters().use_values(model_.parameters().values());
    }

  private:
    std::uint32_t step_number() const { return static_cast<std::uint32_t>(steps_done_); }
    void run_batch(const Batch& batch, const FractalMasks& masks, std::span<const float> scales,
                   std::vector<double>& totals);
    std::vector<std::int32_t> condition_ids(const Batch& batch) const;

    TrainingSettings settings_;
    bool recompute_;
    FractalModel model_;
    ChunkSizes chunks_;
    Tape tape_;
    Plan plan_;
    std::unique_ptr<Optimizer> optimizer_;
    std::int64_t steps_done_ = 0;
};
