// Fractal models in checkpoint files: metadata, and loading of models.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "models/fractal/fractal.h"
#include "runtime/checkpoint/checkpoint_metadata.h"

// The metadata of a checkpoint, beside its tensors.
struct FractalMetadata : CheckpointMetadata {
    FractalConfig config;
    // Of a model of codes: fingerprint (data/records/tokens.h) of the tokenizer whose codes it draws.
    std::optional<std::uint32_t> tokenizer = std::nullopt;
};

void write_metadata(CheckpointWriter& writer, const FractalMetadata& metadata);
// The file's metadata or, if it has none (a published checkpoint, or weights alone), `config`. Throws
// UsageError if neither gives the configuration or both do and differ, Error if the metadata are malformed.
FractalMetadata read_metadata(const TensorFile& file,
                              const std::optional<FractalConfig>& config = std::nullopt);
// The preset's model with as many classes as the file has embeddings for. Throws UsageError for an unknown
// name.
FractalConfig preset_for(const TensorFile& file, std::string_view name);

// A model for sampling and evaluation (no gradients). Throws Error, naming the first tensor that does not
// fit.
std::unique_ptr<FractalModel> load_fractal(const TensorFile& file, const FractalConfig& config,
                                           Backend backend,
                                           std::optional<WeightChoice> choice = std::nullopt);
