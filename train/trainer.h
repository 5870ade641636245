// The part of a training run that all models share: settings, weights with the optimizer's state, the planned
// memory of a step, and checkpoints.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/checkpoint/checkpoint.h"
#include "runtime/tensor/tape.h"
#include "train/recipe.h"
#include "train/run_state.h"
#include "train/training_loop.h"

class Trainer : public TrainingRun {
  public:
    using Evaluation = std::function<std::vector<double>(const RunFolder& folder, Progress& progress)>;

    // Memory of start(), in bytes, and of a step.
    virtual std::size_t state_bytes() const { return state_.bytes(); }
    virtual const Plan& plan() const { return plan_; }
    Device device() const { return tape_.device(); }
    const TrainingSettings& settings() const { return settings_; }
    std::int64_t steps_done() const final { return state_.steps_done(); }

    // Reserves memory and draws the initial weights.
    virtual void start() { state_.start(settings_.seed); }
    // What evaluate() calls; must be set before training. It returns a value for each of own_columns() and then of
    // the further ones, not a number where one was not measured, or none at all.
    void set_evaluation(Evaluation evaluation) { evaluation_ = std::move(evaluation); }
    // Further columns of log.csv that evaluations fill; `best`, one of all, decides which checkpoint is the best,
    // by default the first of the model's own.
    void measure_also(std::vector<std::string> columns, const std::optional<std::string>& best);
    std::vector<std::string> validation_columns() const final;
    std::vector<double> evaluate(const RunFolder& folder, Progress& progress) final;
    // One file, written by rank 0; RunState::save documents the files that ranks write beside it.
    void save(const std::filesystem::path& path, std::optional<double> score, bool with_state) final;
    void resume(const SafetensorsFile& file) final;
    // Calls `use` with the averaged weights in place, if an average is kept.
    template <class Use>
    void with_evaluation_weights(Use use) {
        state_.with_average(use);
    }

  protected:
    // Columns of log.csv that evaluations of such a model fill.
    virtual std::vector<std::string> own_columns() const = 0;
    // `parameters` belong to the model and are not allocated yet. Of several ranks, all call the functions
    // above together.
    Trainer(const TrainingSettings& settings, Backend backend, Parameters& parameters, const RankRule& ranks)
        : settings_(settings),
          comm_(ranks.comm),
          state_(parameters, backend, settings.optimizer, ranks),
          tape_(backend) {}

    // The number of updates of a checkpoint. Throws UsageError if it is of another model or of other data.
    virtual std::int64_t check_checkpoint(const SafetensorsFile& file) const = 0;
    // Adds the model's metadata.
    virtual void write_model(CheckpointWriter& writer) const = 0;
    // The state beside the model's metadata: RunState::save and RunState::resume.
    virtual bool save_state(CheckpointWriter& writer, const std::filesystem::path& path, bool with_state) {
        return state_.save(writer, path, with_state);
    }
    virtual void resume_state(const SafetensorsFile& file, std::int64_t steps) { state_.resume(file, steps); }

    std::uint32_t step_number() const { return static_cast<std::uint32_t>(steps_done()); }
    // Images of the updates done.
    std::int64_t position() const { return steps_done() * settings_.images_per_step(); }

    TrainingSettings settings_;
    const Comm& comm_;
    RunState state_;
    Tape tape_;
    Plan plan_;

  private:
    // In the order in which evaluations measure them, and the place of the one that decides.
    std::vector<std::string> measured_columns() const;
    std::size_t best_index() const;

    Evaluation evaluation_;
    std::vector<std::string> further_columns_;
    std::optional<std::string> best_column_;
};
