// The transformer block of MAR levels and of the pixel level: pre-norm, attention with biases, MLP of four
// times the width with exact GELU (Dosovitskiy et al. 2021).
#pragma once

#include <cstdint>
#include <string>

#include "kernels/pixel_sampler.h"
#include "models/fractal/pass_rule.h"
#include "runtime/ops.h"
#include "runtime/parameters.h"
#include "runtime/tape.h"

class VitBlock {
  public:
    // Registers PREFIX.norm1.weight, PREFIX.attn.qkv.weight, ...
    VitBlock(Parameters& parameters, const std::string& prefix, std::int64_t width, std::int64_t heads);

    // x [sequences * length, D] -> the same. Dropout of `rule` on the attention weights, behind the
    // projection and behind both layers of the MLP; `paths` int64 [sequences, 1] names the sequences for it.
    Tensor forward(Tape& tape, const Tensor& x, std::int64_t length, bool causal, NodeId paths,
                   const PassRule& rule) const;

    // The first in their slab.
    const Parameter& first() const { return *norm1_weight_; }
    // The weights, for the pixel level's sampler.
    PixelSamplerBlock weights() const;

  private:
    std::string prefix_;
    std::int64_t heads_;
    const Parameter *norm1_weight_, *norm1_bias_, *qkv_weight_, *qkv_bias_, *proj_weight_, *proj_bias_,
        *norm2_weight_, *norm2_bias_, *fc1_weight_, *fc1_bias_, *fc2_weight_, *fc2_bias_;
};
