// Text encoders in checkpoint files: our own, and the published ones in both of their namings (transformers', and
// OpenAI's, which OpenCLIP shares). Of a file with both towers of CLIP the vision tower stays unread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/text/text_encoder.h"
#include "runtime/checkpoint/checkpoint_metadata.h"

struct TextMetadata : CheckpointMetadata {
    TextConfig config;
};
void write_metadata(CheckpointWriter& writer, const TextMetadata& metadata);

// The file's configuration: of its metadata; without metadata `config`, or else that of the preset which its shapes
// fit: they tell neither heads nor activation nor padding. Throws UsageError if no preset fits, or if file and
// `config` differ; Error if the metadata or the shapes are malformed.
TextMetadata read_text_metadata(const TensorFile& file,
                                const std::optional<TextConfig>& config = std::nullopt);

// Checks names and shapes only. Throws Error naming the first tensor that does not fit.
void require_fitting(const TensorFile& file, const TextEncoder& encoder);
// An encoder without gradients. Throws Error naming the first tensor that does not fit.
std::unique_ptr<TextEncoder> load_text_encoder(const TensorFile& file, const TextConfig& config,
                                               Backend backend);
