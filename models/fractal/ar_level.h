// The AR level (paper, section 4.2): a causal transformer over the patches of an image in raster order, whose
// output at each position conditions the next level's model of that patch. Blocks as in Llama: RMSNorm, 2-D
// rotary embedding, gated SiLU.
//
// The published model embeds L patches after one condition token and drops the last output. By causality no
// other output depends on the last patch, so sequences here have L tokens: the condition and the first L - 1
// patches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/fractal/config.h"
#include "models/fractal/pass_rule.h"
#include "models/fractal/patch_embedding.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/sampling_ops.h"
#include "runtime/tensor/gradient_listener.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/random.h"
#include "runtime/tensor/tape.h"

class ArLevel {
  public:
    // Registers the parameters PREFIX.patch_emb.weight, ... of level `level`.
    ArLevel(Parameters& parameters, const std::string& prefix, const FractalConfig& config, std::size_t level,
            Device device);

    // patches [M * L, C * p^2] and one condition per sequence [M, condition width] -> a condition per patch
    // [M * L, D]. `sequence_ids` int64 [M, 1], for dropout. `listener` is called after each block.
    Tensor forward(Tape& tape, const Tensor& patches, const Tensor& condition, const Tensor& sequence_ids,
                   const PassRule& rule, GradientReadyListener* listener = nullptr) const;

    // The weights laid out for step(), for one sampling job.
    struct PackedBlock {
        PackedLinear wqkv, wo, w13, w2;
    };
    struct Packed {
        PackedLinear patch, condition;
        std::vector<PackedBlock> blocks;
    };
    Packed pack_for_sampling(Tape& tape) const;
    // Keys and values of the tokens so far, per block [rows, L * D].
    struct Cache {
        std::vector<Tensor> keys, values;
    };
    Cache create_cache(Tape& tape, std::int64_t rows) const;
    // The condition for patch t [rows, D], given the patch before it [rows, C * p^2] (or, for t = 0, the
    // condition).
    Tensor step(Tape& tape, std::int64_t t, const Tensor& condition, const Tensor& previous_patch,
                const Packed& packed, const Cache& cache) const;

    std::int64_t length() const { return length_; }

  private:
    struct Block {
        const Parameter *wqkv, *wo, *w1, *w3, *w2, *attention_norm, *ffn_norm;
        std::string attention_purpose, feed_forward_purpose;  // of the random numbers of its dropouts
    };

    Tensor block_forward(Tape& tape, const Block& block, const Tensor& x, NodeId sequence_ids,
                         const PassRule& rule) const;
    Tensor feed_forward(Tape& tape, const Block& block, const Tensor& normed) const;

    std::int64_t length_, width_, hidden_, heads_;
    RotaryTable rotary_;
    const Parameter* positions_;
    PatchEmbedding patch_embedding_;
    const Parameter *patch_norm_weight_, *patch_norm_bias_, *condition_weight_, *condition_bias_,
        *norm_weight_, *norm_bias_;
    std::vector<Block> blocks_;
};
