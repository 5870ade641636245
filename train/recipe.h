// Every number of a training run that changes its mathematics, and where the defaults come from.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/tensor/optimizer.h"

class CommandLine;

// Values of the command line's flags; absent: the recipe's value.
struct TrainingFlags {
    std::optional<std::int64_t> steps, batch, accumulation, warmup_steps;
    std::optional<double> epochs, warmup_epochs, learning_rate, base_learning_rate;
    std::optional<std::string> schedule;
    std::optional<float> clip, dropout, label_drop, ema_decay, weight_decay, beta1, beta2;
    std::optional<bool> flip;
    std::uint64_t seed = 0;
};

// Of a run.
inline constexpr std::int64_t most_steps = 1'000'000'000;

// Default hyperparameters of a model.
struct Recipe {
    std::int64_t batch = 32;                    // images at once
    bool ranks_divide = false;                  // this batch among themselves; otherwise it is each one's
    std::int64_t steps = 2000;                  // updates
    double epochs = 0;                          // passes over the data instead, if not 0
    std::function<double(double images)> peak;  // learning rate, of updates of so many images
    std::function<std::int64_t(std::int64_t steps)> warmup;  // updates, of a run of so many
    double warmup_epochs = 0;                                // instead, if not 0
    bool cosine = true;  // the learning rate decays to 0 at the end; otherwise it is constant
    OptimizerRule optimizer;
    float dropout = 0, label_drop = 0;
    bool flip = true;
};

// Settings that only one kind of model has, by their flags.
using OwnSettings = std::vector<std::pair<std::string, double>>;

struct TrainingSettings {
    std::int64_t steps = 0;         // updates
    std::int64_t batch = 0;         // images at once, on each rank
    std::int64_t accumulation = 1;  // batches per update
    std::int64_t ranks = 1;
    LearningRateSchedule learning_rate;
    OptimizerRule optimizer;
    float dropout = 0, label_drop = 0;
    bool flip = true;
    OwnSettings own;
    std::uint64_t seed = 0;

    std::int64_t images_per_step() const { return ranks * batch * accumulation; }
    // Numbers of the images that a rank takes for the `index`-th batch of update number `step`: the
    // concatenation of all ranks' batches is the batch of a single rank.
    std::vector<std::int64_t> samples(std::int64_t step, std::int64_t index, int rank) const;
    // Throws std::logic_error if there is none.
    double of(std::string_view flag) const;
    bool has(std::string_view flag) const;
};

// The flags over the recipe. `images`: records in the training file, for epochs. `ranks`: processes that
// share each update. Throws UsageError naming the flag.
TrainingSettings resolve_training(const TrainingFlags& flags, const Recipe& recipe, std::int64_t images,
                                  std::int64_t ranks, OwnSettings own = {});

// Throws UsageError naming the flag if `value` is not a number from `low` to `high`.
void require_range(std::string_view flag, double value, double low, double high);

// A flag's default as printed by --help; empty: the flag does not apply to the model and is omitted.
struct RecipeWords {
    std::string steps, batch, accumulation, learning_rate, base_learning_rate, warmup, schedule, clip,
        weight_decay, beta1, beta2, dropout, label_drop, ema, flip;
};
void add_training_flags(CommandLine& app, TrainingFlags& flags, const RecipeWords& defaults);

std::string to_json(const TrainingSettings& settings);
// The settings of such JSON, of a checkpoint's metadata, on `ranks` ranks: the number of images of an update stays.
// Throws Error, starting with `source`, for anything else; UsageError if the ranks cannot share the images.
TrainingSettings parse_training(std::string_view json, std::int64_t ranks, std::string_view source);
// Throws UsageError if `before` (JSON of the settings a run was started with) differs from `now` in a setting
// that changes the result; names the first flag, its old and its new value. The division of an update's
// images among ranks and batches may differ.
void require_same_training(std::string_view before, const TrainingSettings& now, std::string_view source);
