// The loop around the updates of any model: log, progress line, evaluations, checkpoints, stop requests, and
// the continuation of an earlier run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/files/safetensors.h"
#include "runtime/ranks/comm.h"
#include "train/progress.h"
#include "train/run_folder.h"

using StepProgress = std::function<void(double share)>;

// The progress of part `index` of `count` equal ones of a step.
StepProgress part_of(const StepProgress& whole, std::int64_t index, std::int64_t count);

struct StepResult {
    double loss = 0;
    double gradient_norm = 0;  // before clipping
    float learning_rate = 0;
    std::vector<double> figures;  // in the order of TrainingRun::figures
};

// A mean over the steps between two rows of log.csv: its column there, and its words on the progress line, an
// fmt format such as "{:.3f} bits/dim".
struct Figure {
    std::string column, words;
};

// A model in training. Ranks call these functions collectively.
class TrainingRun {
  public:
    virtual ~TrainingRun() = default;

    // Beside the loss.
    virtual std::vector<Figure> figures() const = 0;
    // Columns of log.csv that evaluations fill. The first decides which checkpoint is the best, the smaller
    // the better, and is kept in its metadata under that name.
    virtual std::vector<std::string> validation_columns() const = 0;

    virtual std::int64_t steps_done() const = 0;
    // One update; `progress` gets the share of it that is done, from 0 to 1. A loss or gradient that is not
    // finite leaves the weights as they were.
    virtual StepResult step(const StepProgress& progress) = 0;
    // Writes sheets and prints the results. Returns the values of validation_columns on rank 0, not a number
    // where one was not measured; empty if none was.
    virtual std::vector<double> evaluate(const RunFolder& folder, Progress& progress) = 0;
    // `score`: the first of the validation columns, if it was measured at this step.
    virtual void save(const std::filesystem::path& path, std::optional<double> score, bool with_state) = 0;
    // Continues exactly from the checkpoint. Throws UsageError if it belongs to another run, Error if it
    // cannot be read.
    virtual void resume(const SafetensorsFile& file) = 0;
};

// Intervals of the loop's actions, in updates.
struct LoopRule {
    std::int64_t steps = 0, images_per_step = 0;
    std::int64_t log_every = 10;
    std::int64_t evaluate_every = 0;  // 0: an eighth of the run
    std::int64_t save_every = 0;      // 0: at evaluations
    std::int64_t keep = 2;            // checkpoints, besides the best
};

// Continues from the newest checkpoint that every rank can read; true if there was one. The first rank that
// cannot read one reports the reason.
bool resume_newest(TrainingRun& run, const Comm& comm, const RunFolder& folder);

// From the current step to the last one, or until a stop request. Throws Error if the loss or the gradient is
// not finite.
void train(TrainingRun& run, const LoopRule& rule, const Comm& comm, RunFolder& folder);
