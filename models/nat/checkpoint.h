// Masked-token transformers in checkpoint files: metadata, configurations inferred from the shapes of a
// published file (a flat dictionary), and loading of models.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "models/nat/transformer.h"
#include "runtime/checkpoint/checkpoint_metadata.h"

// The metadata of a checkpoint, beside its tensors.
struct NatMetadata : CheckpointMetadata {
    NatConfig config;
    std::optional<std::uint32_t>
        tokenizer;  // fingerprint (data/records/tokens.h) of the one whose codes it predicts
    // Checksum of the weights of the text encoder whose features it takes (weights_checksum); nothing for a model
    // of classes, or with an encoder of its own.
    std::optional<std::uint32_t> text_encoder = std::nullopt;
};

void write_metadata(CheckpointWriter& writer, const NatMetadata& metadata);
// Whether the metadata name the format, or the file has the embeddings of one.
bool holds_nat(const TensorFile& file);
// The file's metadata; without metadata `config`, or else the configuration inferred from the shapes, with
// the number of heads, which shapes do not determine, from the matching preset. Throws UsageError if no
// preset matches, or if file and `config` differ; Error if the metadata or the shapes are malformed.
NatMetadata read_nat_metadata(const TensorFile& file, const std::optional<NatConfig>& config = std::nullopt);
// The preset's model with as many contexts as the file has embeddings for. Throws UsageError for an unknown
// name.
NatConfig nat_preset_for(const TensorFile& file, std::string_view name);
// As require_fitting() of runtime/checkpoint, of the newest weights. A published file of Muse also holds the tokens'
// positions, which are no weights.
void require_fitting(const TensorFile& file, const NatTransformer& model);

// Throws Error if the model in `file` takes the features of a text encoder with another checksum; `whose` names the
// given encoder in the message. Passes if the file has none.
void require_text_encoder(const TensorFile& file, const NatMetadata& metadata, std::uint32_t checksum,
                          std::string_view whose);

// A model for generation and evaluation (no gradients). Throws Error, naming the first tensor that does not
// fit.
std::unique_ptr<NatTransformer> load_nat(const TensorFile& file, const NatConfig& config, Backend backend,
                                         std::optional<WeightChoice> choice = std::nullopt);
