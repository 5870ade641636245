// Tokenizers in files: ours, with metadata, and the published form, a flat dictionary of parameters under
// `state_dict`, whose configuration is inferred from the shapes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "models/nat/tokenizer.h"
#include "runtime/checkpoint/checkpoint_metadata.h"

// The metadata of a tokenizer's file, beside its tensors.
struct TokenizerMetadata : CheckpointMetadata {
    TokenizerConfig config;
    std::int64_t image_size = 0;  // side of the images it was trained on; 0: unknown
};

void write_metadata(CheckpointWriter& writer, const TokenizerMetadata& metadata);
// Whether the file holds a tokenizer: by its metadata, or by tensors of a codebook and an encoder.
bool is_tokenizer(const TensorFile& file);
// The file's metadata or, without metadata, the configuration inferred from the shapes, with beta = 0.25.
// Throws Error naming the file if it holds no tokenizer or a malformed one, and naming the tensor that is
// missing or fits no tokenizer.
TokenizerMetadata read_tokenizer_metadata(const TensorFile& file);

// A tokenizer for encoding and decoding (no gradients), the averaged weights if the file has them. Tensors
// beside a tokenizer's (loss.* of the published form, an optimizer's state) are not read. Throws Error,
// naming the first tensor that does not fit.
std::unique_ptr<Tokenizer> load_tokenizer(const TensorFile& file, Backend backend);
// The prefix of the weights that load_tokenizer() takes.
std::string_view tokenizer_prefix(const TensorFile& file);
// Its weights under `prefix` into a slab of the tokenizer's parameters. Throws Error as above.
void load_tokenizer_weights(const TensorFile& file, const Parameters& parameters, std::string_view prefix,
                            float* values);

inline constexpr const char* codebook_name = "quantize.embedding.weight";
// Which tokenizer tokens belong to: see tokenizer_fingerprint (data/records/tokens.h), which takes this
// codebook.
std::vector<float> codebook_values(const Tokenizer& tokenizer);
// Throws Error if a model, in the file `path`, draws the codes of a tokenizer with another fingerprint; `whose` names the
// given tokenizer in the message. Passes if the model's is unknown.
void require_tokenizer(const std::string& path, std::optional<std::uint32_t> of_model,
                       std::uint32_t fingerprint, std::string_view whose);
