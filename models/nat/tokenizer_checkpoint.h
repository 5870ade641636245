// Tokenizers in files: ours, which say what they are, and the published form, a flat dictionary of parameters
// under `state_dict`, whose shapes say it.
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
    std::int64_t image_size = 0;  // side of the pictures it was trained on; 0: the file does not say
};

void write_metadata(CheckpointWriter& writer, const TokenizerMetadata& metadata);
// Whether the file holds a tokenizer: says so, or has a codebook and an encoder.
bool is_tokenizer(const TensorFile& file);
// What the file says about itself or, if it says nothing, what its shapes say; beta, which no shape says, is
// then 0.25. Throws Error naming the file if it holds no tokenizer or a malformed one, and naming the tensor
// that is missing or fits no tokenizer.
TokenizerMetadata read_tokenizer_metadata(const TensorFile& file);

// A tokenizer for encoding and decoding (no gradients), the averaged weights if the file has them. Tensors
// beside a tokenizer's (loss.* of the published form, an optimizer's state) are not read. Throws Error,
// naming the first tensor that does not fit.
std::unique_ptr<Tokenizer> load_tokenizer(const TensorFile& file, Backend backend);
// Its weights under `prefix` into a slab of the tokenizer's parameters. Throws Error as above.
void load_tokenizer_weights(const TensorFile& file, const Parameters& parameters, std::string_view prefix,
                            float* values);

// Which tokenizer tokens belong to: see tokenizer_fingerprint (data/records/tokens.h), which takes this codebook.
std::vector<float> codebook_values(const Tokenizer& tokenizer);
