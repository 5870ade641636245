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
#include "train/nat_conditions.h"
#include "train/run_flags.h"
#include "train/trainer.h"

// Throws UsageError for tokens of another grid, codebook or, for a model of classes, number of classes than the
// model's.
void require_fitting_tokens(const NatConfig& config, const TokenFile& tokens);

class NatTrainer : public Trainer {
  public:
    // Plans a step and a validation; takes no memory yet. `settings` has --label-smoothing and, of the mask
    // ratio's distribution, --mask-alpha and --mask-beta or --mask-cosine. `chunk` 0: the model's default. The
    // tokens of `data` fit the model, `conditions` are theirs. `encoder`, of a model of texts that has none of
    // its own, encodes the conditions' ids.
    NatTrainer(const NatConfig& config, const TrainingSettings& settings, Backend backend, bool recompute,
               std::int64_t chunk, const TokenFile& data, NatConditions& conditions, const RankRule& ranks,
               const TextEncoder* encoder = nullptr);

    // Memory of a validation beyond that of a step, in bytes.
    std::size_t validation_bytes() const;
    std::int64_t chunk() const { return chunk_; }
    NatTransformer& model() { return *model_; }
    // For its folder; `initial`: file of --init-from, or "".
    RunDescription description(const std::string& initial) const;

    // Takes the newest weights of another checkpoint, the embedding of class i from its row order[i].
    // `file` has been found to fit (require_fitting). Throws Error.
    void start_from(const TensorFile& file, std::span<const std::int64_t> order);

    std::vector<Figure> figures() const override { return {}; }
    // One update over `accumulation` batches.
    StepResult step(const StepProgress& progress) override;
    // Mean cross-entropy in nats at the hidden tokens of the first `images` records of held-out tokens,
    // without label smoothing: masks drawn as in training, the same in every run. Of the weights in place.
    // `conditions`: of the held-out tokens.
    double validation_loss(const TokenFile& held_out, std::int64_t images, NatConditions& conditions);

  private:
    NatTrainer(std::unique_ptr<NatTransformer> model, const TrainingSettings& settings, Backend backend,
               bool recompute, std::int64_t chunk, const TokenFile& data, NatConditions& conditions,
               const RankRule& ranks);
    std::vector<std::string> own_columns() const override { return {"validation_loss"}; }
    std::int64_t check_checkpoint(const SafetensorsFile& file) const override;
    void write_model(CheckpointWriter& writer) const override;

    MaskRule mask_rule() const;
    // Adds the batch's summed loss to `total`.
    void run_batch(const NatBatch& batch, const SmoothedLoss& rule, const NatPass& pass, double& total,
                   GradientReadyListener* listener, const StepProgress& progress);

    bool recompute_;
    const TokenFile& data_;
    NatConditions& conditions_;
    std::unique_ptr<NatTransformer> model_;
    std::int64_t chunk_;
    Plan validation_plan_;
    std::unique_ptr<TokenLoader> loader_;
};
