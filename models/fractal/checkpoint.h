// Fractal models in checkpoint files: what a file says about itself, and a model with its weights.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/fractal/fractal.h"
#include "runtime/checkpoint.h"

// The metadata of a checkpoint, beside its tensors.
struct FractalDescription {
    FractalConfig config;
    std::vector<std::string> classes;  // names by label; empty if none are known
    std::int64_t step = 0;             // updates done
    float ema_decay = 0;               // 0: the file holds no averaged weights
};

void describe(CheckpointWriter& writer, const FractalDescription& description);
// Throws Error if the file's metadata is not ours or is malformed.
FractalDescription read_description(const SafetensorsFile& file);

enum class WeightChoice { newest, average };  // the weights as trained, or their moving average
// A model for sampling and evaluation (no gradients). Without a choice the average is taken if there is one.
// Throws Error.
std::unique_ptr<FractalModel> load_fractal(const SafetensorsFile& file, Device device,
                                           std::optional<WeightChoice> choice = std::nullopt);
