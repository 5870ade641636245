// How a level reads its patches: a linear layer over a patch's normalised pixels or, of a model of codes, over
// its codes' embeddings, side by side. Every level has a table of embeddings of its own, since gradients leave a
// level through its conditions alone.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "models/fractal/config.h"
#include "runtime/ops/sampling_ops.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

class PatchEmbedding {
  public:
    // Registers PREFIX.patch_emb.weight and .bias of level `level`, before them PREFIX.code_emb.weight if there
    // are codes.
    PatchEmbedding(Parameters& parameters, const std::string& prefix, const FractalConfig& config,
                   std::size_t level);

    // patches [rows, C * p^2] -> [rows, D].
    Tensor forward(Tape& tape, const Tensor& patches) const;
    // Its two parts for sampling: what the linear layer reads, as activations, and its weights, packed for one job.
    Tensor inputs(Tape& tape, const Tensor& patches) const;
    PackedLinear pack_for_sampling(Tape& tape) const;
    // The linear layer's, fp32: weight [D, inputs], bias [D].
    std::pair<const float*, const float*> weights() const { return {weight_->value, bias_->value}; }

  private:
    std::int64_t vocabulary_, width_;
    const Parameter *code_table_ = nullptr, *weight_, *bias_;
};
