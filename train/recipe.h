// Every number of a training run that changes its mathematics, and where the defaults come from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/optimizer.h"

// What the command line said; absent means the recipe's value.
struct TrainingFlags {
    std::optional<std::int64_t> steps, batch, accumulation, warmup_steps;
    std::optional<double> epochs, warmup_epochs, learning_rate, base_learning_rate;
    std::optional<std::string> schedule;
    std::optional<float> clip, dropout, label_drop, ema_decay, weight_decay, red_weight;
    std::optional<bool> flip;
    std::uint64_t seed = 0;
};

struct TrainingSettings {
    std::int64_t steps = 0;         // updates
    std::int64_t batch = 0;         // images at once, on each rank
    std::int64_t accumulation = 1;  // batches per update
    std::int64_t ranks = 1;
    LearningRateSchedule learning_rate;
    OptimizerRule optimizer;
    float dropout = 0, label_drop = 0.1f;
    float red_weight = 5;
    bool flip = true;
    std::uint64_t seed = 0;

    std::int64_t images_per_step() const { return ranks * batch * accumulation; }
};

// The flags over the preset's recipe. Presets of the paper carry the paper's (section 5: 800 epochs, AdamW,
// 5e-5 per 256 images, 40 epochs of warm-up); other models one that learns at batch 32 within minutes.
// `widest`: the model's largest width, which bounds the learning rate of the latter; `images`: records in the
// training file, for epochs. `ranks`: processes that share each update. Throws UsageError naming the
// flag.
TrainingSettings resolve_training(const TrainingFlags& flags, bool paper_recipe, std::int64_t widest,
                                  std::int64_t images, std::int64_t ranks = 1);

std::string to_json(const TrainingSettings& settings);
// Throws UsageError if `before` (JSON of the settings a run was started with) differs from `now` in what
// changes the mathematics; names the first flag, its old and its new value. How the images of an update are
// divided among ranks and batches does not.
void require_same_training(std::string_view before, const TrainingSettings& now, std::string_view source);
