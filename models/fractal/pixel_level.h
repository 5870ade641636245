// The pixel level (paper, section 4.3): the innermost model, a causal transformer over the channels of one
// pixel. Its tokens are the condition and the values drawn so far; channel c is predicted at position c with
// logits tied to that channel's codebook.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/fractal/config.h"
#include "models/transformer/vit_block.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/sampling_ops.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

class PixelLevel {
  public:
    // Registers PREFIX.cond_proj.weight, ...: `channels` channels, conditions of width `condition_width`.
    PixelLevel(Parameters& parameters, const std::string& prefix, std::int64_t channels,
               std::int64_t condition_width, std::int64_t width, std::int64_t blocks, std::int64_t heads);
    PixelLevel(const PixelLevel&) = delete;

    // Adds the summed cross-entropy of values int32 [N, C], given conditions [N, condition width], to totals
    // (double [1, C]); while recording, scales[c] is the weight of channel c's sum in the loss that is
    // differentiated.
    void loss(Tape& tape, const Tensor& condition, const Tensor& values, std::span<const float> scales,
              const Tensor& totals) const;
    // Logits of one channel [N, 256], given all values.
    Tensor logits(Tape& tape, const Tensor& condition, const Tensor& values, std::int64_t channel) const;

    // Inputs of the sampler (sample_pixels in runtime/ops/sampling_ops.h): sizes, and the weights packed for
    // one sampling job.
    PixelSamplerShape sampler_shape() const;
    Tensor pack_for_sampling(Tape& tape) const;

  private:
    Tensor forward(Tape& tape, const Tensor& condition, const Tensor& values) const;

    std::int64_t channels_, condition_width_, width_, heads_;
    const Parameter *condition_weight_, *condition_bias_, *ln_weight_, *ln_bias_, *norm_weight_, *norm_bias_;
    std::vector<const Parameter*> codebooks_, biases_;
    std::vector<VitBlock> blocks_;
};
