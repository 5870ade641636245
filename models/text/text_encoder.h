// The text encoder of CLIP: a causal transformer over the ids of a text, whose outputs at all places are the
// condition of text-to-image models.
//
//   x = token embedding + position embedding -> blocks of pre-norm attention, place i sees places j <= i, and an
//   MLP -> LayerNorm
//
// Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML 2021,
// arXiv 2103.00020), section 2.4, and its release.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/text/text_config.h"
#include "models/transformer/vit_block.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

class TextEncoder {
  public:
    // Registers the parameters; the caller allocates them.
    TextEncoder(const TextConfig& config, Backend backend);
    // Registers them, their names behind `prefix`, among those of a model that the encoder is a part of.
    TextEncoder(const TextConfig& config, Backend backend, Parameters& parameters, const std::string& prefix);
    TextEncoder(const TextEncoder&) = delete;

    const TextConfig& config() const { return config_; }
    Backend backend() const { return backend_; }
    // Of an encoder that is no part of a model.
    Parameters& parameters() { return own_parameters_; }
    const Parameters& parameters() const { return own_parameters_; }

    // ids int32 [B, context_length] -> fp32 [B * context_length, width], all places of each text. While the tape
    // records, gradients flow to the parameters.
    Tensor forward(Tape& tape, const Tensor& ids) const;

  private:
    TextConfig config_;
    Backend backend_;
    Parameters own_parameters_;
    const Parameter *tokens_, *positions_, *norm_weight_, *norm_bias_;
    std::vector<VitBlock> blocks_;
};
