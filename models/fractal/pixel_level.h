// The pixel level (paper, section 4.3): the innermost model, a causal transformer over the channels of one
// pixel. Its tokens are the condition and the values drawn so far; channel c is predicted at position c with
// logits tied to that channel's codebook. Of a model of codes it draws one code, as the one channel of a token.
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
    // Registers PREFIX.cond_proj.weight, ...: the model's channels and their values, conditions of width
    // `condition_width`.
    PixelLevel(Parameters& parameters, const std::string& prefix, const FractalConfig& config,
               std::int64_t condition_width, std::int64_t width, std::int64_t blocks, std::int64_t heads);
    PixelLevel(const PixelLevel&) = delete;

    // Adds the summed cross-entropy of values int32 [N, C], given conditions [N, condition width], to totals
    // (double [1, C]); while recording, scales[c] is the weight of channel c's sum in the loss that is
    // differentiated.
    void loss(Tape& tape, const Tensor& condition, const Tensor& values, std::span<const float> scales,
              const Tensor& totals) const;
    // Logits of one channel [N, values], given all values, which one channel alone does not read.
    Tensor logits(Tape& tape, const Tensor& condition, const Tensor& values, std::int64_t channel) const;

    // Whether sample() can draw on this device: the kernel that draws pixels takes levels up to some size.
    bool can_sample(Device device) const;
    PixelSamplerShape sampler_shape() const;
    // What sample() reads of the weights, for one sampling job.
    Tensor pack_for_sampling(Tape& tape) const;
    // Draws values int32 [R, C] for `condition` [R, condition width]; the other arguments are those of
    // sample_pixels (runtime/ops/sampling_ops.h), `limits` and `into` of pixels alone, given uniforms of
    // codes.
    Tensor sample(Tape& tape, const Tensor& condition, const Uniforms& uniforms, const Tensor& packed,
                  bool guided, const Tensor& settings, const Tensor& margins, const Tensor& limits,
                  const NormalizedRows& into) const;

  private:
    Tensor forward(Tape& tape, const Tensor& condition, const Tensor& values) const;

    bool of_codes_;
    std::int64_t channels_, condition_width_, width_, heads_;
    const Parameter *condition_weight_, *condition_bias_, *ln_weight_, *ln_bias_, *norm_weight_, *norm_bias_;
    std::vector<const Parameter*> codebooks_, biases_;
    std::vector<VitBlock> blocks_;
};
