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
#include "runtime/comm.h"
#include "runtime/gradient_exchange.h"
#include "runtime/optimizer.h"
#include "train/recipe.h"

struct StepResult {
    double loss = 0;           // with the red weight
    double bits_per_dim = 0;   // plain mean over channels, of the pixels that the step predicted
    double gradient_norm = 0;  // before clipping
    float learning_rate = 0;
};

// How several processes share a run.
struct RankRule {
    const Comm& comm;
    bool shard_optimizer = false;                      // each keeps a part of the optimizer's state
    std::size_t bucket_floats = std::size_t{4} << 20;  // gradients summed at once
};

class FractalTrainer {
  public:
    // Plans a step; takes no memory yet. Empty `chunks`: the model's defaults. Of several ranks, all call the
    // functions below together.
    FractalTrainer(const FractalConfig& config, const TrainingSettings& settings, Backend backend,
                   bool recompute, ChunkSizes chunks, const RankRule& ranks);

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
    // One file, written by rank 0; with a sharded optimizer and `with_state`, a shard per rank beside it.
    // Without `with_state` the optimizer's moments are left out where they are sharded.
    void save(const std::filesystem::path& path, const std::vector<std::string>& classes,
              std::optional<double> validation_bits_per_dim, bool with_state = true);

    // The batches of this rank, from where the run stands.
    Loader make_loader(const PackedFile& data) const;
    // One update over `accumulation` batches. `loader` is make_loader's. A loss or gradient that is not
    // finite leaves the weights as they were.
    StepResult step(Loader& loader);

    std::int64_t steps_done() const { return steps_done_; }
    std::int64_t position() const { return steps_done_ * settings_.images_per_step(); }
    FractalModel& model() { return model_; }
    // Calls `use` with the averaged weights in place, if an average is kept.
    template <class Use>
    void with_evaluation_weights(Use use) {
        const bool averaged = settings_.optimizer.ema_decay > 0;
        if (averaged && sharded()) swap_in_average();
        if (averaged && !sharded()) model_.parameters().use_values(optimizer_->average());
        use();
        if (averaged && sharded()) swap_out_average();
        model_.parameters().use_values(model_.parameters().values());
    }

  private:
    std::uint32_t step_number() const { return static_cast<std::uint32_t>(steps_done_); }
    void run_batch(const Batch& batch, const FractalMasks& masks, std::span<const float> scales,
                   std::vector<double>& totals, GradientWatch* watch);
    StepResult update(std::span<const double> totals, std::span<const float> scales, double pixels);
    // Of a sharded optimizer: writes every rank's state beside the checkpoint; the whole average, on rank 0.
    std::string write_state(const std::filesystem::path& path);
    std::vector<float> gather_average();
    // Numbers of the samples that a rank takes for the step's `batch`-th batch: all ranks' batches, one
    // behind the other, are what one rank would take at once.
    std::vector<std::int64_t> samples_of(int rank, std::int64_t batch) const;
    bool sharded() const { return ranks_.shard_optimizer && ranks_.comm.ranks() > 1; }
    // Every rank's part of the weights to all.
    void gather_values();
    // A sharded average takes the place of the weights, which each rank keeps for its shard meanwhile.
    void swap_in_average();
    void swap_out_average();
    std::vector<std::int32_t> condition_ids(const Batch& batch) const;

    TrainingSettings settings_;
    RankRule ranks_;
    bool recompute_;
    FractalModel model_;
    ChunkSizes chunks_;
    Tape tape_;
    Plan plan_;
    std::unique_ptr<GradientExchange> exchange_;  // null: one rank alone
    std::unique_ptr<Optimizer> optimizer_;
    Memory kept_weights_;  // of the shard, while the average is in their place
    std::int64_t steps_done_ = 0;
};
