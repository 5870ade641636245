// One training run of a fractal model in memory: the model, its optimizer and the planned memory of a step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/records/image_records.h"
#include "models/fractal/checkpoint.h"
#include "models/fractal/fractal.h"
#include "train/trainer.h"

class FractalTrainer : public Trainer {
  public:
    // Plans a step; takes no memory yet. `data` fits the model. `settings` has the model's own --red-weight. Empty `chunks`: the
    // model's defaults. `data` may be null for a plan alone.
    FractalTrainer(const FractalConfig& config, const TrainingSettings& settings, Backend backend,
                   bool recompute, ChunkSizes chunks, const ImageRecords* data, const RankRule& ranks);

    const ChunkSizes& chunks() const { return chunks_; }
    FractalModel& model() { return *model_; }

    // Takes the newest weights of another checkpoint, the embedding of class i from its row order[i]; the class
    // embeddings stay as drawn if their number differs. Throws Error naming the first tensor that does not
    // fit.
    void start_from(const TensorFile& file, std::span<const std::int64_t> order);
    // Whether the file has embeddings of as many classes.
    bool has_fitting_classes(const TensorFile& file) const;

    // A dimension of a model of codes is a token.
    std::vector<Figure> figures() const override {
        return {{"bits_per_dim", model_->config().of_codes() ? "{:.3f} bits/token" : "{:.3f} bits/dim"}};
    }
    // One update over `accumulation` batches, the same in every step; figures: bits/dim of the pixels or tokens
    // that the step predicted, the plain mean over channels (the loss has the red weight).
    StepResult step(const StepProgress& progress) override;

  private:
    FractalTrainer(std::unique_ptr<FractalModel> model, const TrainingSettings& settings, Backend backend,
                   bool recompute, ChunkSizes chunks, const ImageRecords* data, const RankRule& ranks);
    std::vector<std::string> own_columns() const override { return {"validation_bits_per_dim"}; }
    std::int64_t check_checkpoint(const SafetensorsFile& file) const override;
    void write_model(CheckpointWriter& writer) const override;

    // The batches of this rank, from where the run stands.
    std::unique_ptr<ImageLoader> make_loader() const;
    void run_batch(const ImageBatch& batch, const FractalMasks& masks, std::span<const float> scales,
                   std::vector<double>& totals, GradientReadyListener* listener,
                   const StepProgress& progress);
    StepResult update(std::span<const double> totals, std::span<const float> scales, double pixels);
    std::vector<std::int32_t> condition_ids(const ImageBatch& batch) const;

    bool recompute_;
    const ImageRecords* data_;
    std::unique_ptr<FractalModel> model_;
    ChunkSizes chunks_;
    std::unique_ptr<ImageLoader> loader_;
};
