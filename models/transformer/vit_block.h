// The transformer block of a vision transformer (Dosovitskiy et al. 2021): pre-norm, attention, MLP with
// exact GELU. MAR levels, the pixel level, the masked-token transformer and the text encoder are made of it.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/ops/ops.h"
#include "runtime/ops/sampling_ops.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// Differences between the models' blocks.
struct VitBlockForm {
    float epsilon = 1e-6f;  // of both norms
    bool qkv_bias = true;
    std::int64_t mlp_ratio = 4;   // the MLP's width relative to the block's
    Init weights = Init::xavier;  // of the four products
    bool quick_gelu = false;      // in place of the exact GELU
};

// Dropout of a block, with the same probability: of the attention weights, after the projection and after
// both layers of the MLP. `sequence_ids` int64 [sequences, 1].
struct BlockDropout {
    float probability = 0;
    std::uint64_t seed = 0;
    std::uint32_t step = 0;
    NodeId sequence_ids = -1;
};

// A layer norm: the first of a block, or what follows the last block.
struct Norm {
    const Parameter *weight, *bias;
    float epsilon;
};

class VitBlock {
  public:
    // Registers PREFIX.norm1.weight, PREFIX.attn.qkv.weight, ...
    VitBlock(Parameters& parameters, const std::string& prefix, std::int64_t width, std::int64_t heads,
             const VitBlockForm& form = {});

    // x [sequences * length, D] -> the same.
    Tensor forward(Tape& tape, const Tensor& x, std::int64_t length, bool causal,
                   const BlockDropout& dropout) const;
    // The same with the norm that follows, in one pass with the block's last addition; `next` null: without,
    // `normed` is none. x.normed is norm1() of x.sum, or none: then it is computed here.
    NormedSum forward(Tape& tape, NormedSum x, std::int64_t length, bool causal, const BlockDropout& dropout,
                      const Norm* next) const;
    // Its two halves: what attention returns for all tokens, and the rest, which may go on with a few rows of x.sum
    // and `attended`.
    Tensor attend(Tape& tape, NormedSum x, std::int64_t length, bool causal,
                  const BlockDropout& dropout) const;
    NormedSum finish(Tape& tape, const Tensor& x, const Tensor& attended, const BlockDropout& dropout,
                     const Norm* next) const;

    Norm norm1() const { return {norm1_weight_, norm1_bias_, epsilon_}; }
    // The first in their slab but norm1, which may have been computed in front of the block.
    const Parameter& behind_norm1() const { return *qkv_weight_; }
    // The weights, for the pixel level's sampler, whose blocks have a qkv bias.
    PixelSamplerBlock weights() const;

  private:
    DropoutRule drop(const BlockDropout& dropout, const char* where) const;

    std::string prefix_;
    std::int64_t heads_;
    float epsilon_;
    bool quick_gelu_;
    const Parameter *norm1_weight_, *norm1_bias_, *qkv_weight_,
        *qkv_bias_ = nullptr, *proj_weight_, *proj_bias_, *norm2_weight_, *norm2_bias_, *fc1_weight_,
        *fc1_bias_, *fc2_weight_, *fc2_bias_;
};
