// The MAR level (paper, section 4.2): a bidirectional transformer over the patches of an image, some of them
// hidden, whose outputs at the hidden patches and around them condition the next level's model of these
// patches.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/fractal/config.h"
#include "models/fractal/pass_rule.h"
#include "models/fractal/patch_embedding.h"
#include "models/fractal/pixel_level.h"
#include "models/transformer/vit_block.h"
#include "runtime/ops/masking_ops.h"
#include "runtime/ops/ops.h"
#include "runtime/tensor/gradient_listener.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

struct MarLevelShape;  // kernels/level/mar_level.h

class MarLevel {
  public:
    // Registers the parameters PREFIX.mask_token, ... of level `level`.
    MarLevel(Parameters& parameters, const std::string& prefix, const FractalConfig& config,
             std::size_t level);

    // The tokens in front of the patches, the same whatever the patches are.
    struct Prefix {
        Tensor conditions, guide;  // [M, n * D]; [M, D], none if the level is not guided
    };
    // conditions [M, n * condition width], the patch's own first; guiding_pixel [M, C], normalised, if the
    // level is guided, else none.
    Prefix prefix(Tape& tape, const Tensor& conditions, const Tensor& guiding_pixel) const;

    // patches [M * L, C * p^2]; mask uint8 [M, L]; sequence_ids int64 [M, 1], for dropout. `listener` is
    // called after each block. Returns the outputs of all tokens [M * (prefix + L), D].
    Tensor forward(Tape& tape, const Tensor& patches, const Prefix& prefix, const Tensor& mask,
                   const Tensor& sequence_ids, const PassRule& rule,
                   GradientReadyListener* listener = nullptr) const;

    // The pass of sampling, in two halves. The residual stream and what attention returns in the last block, of all
    // tokens; and the conditions of the next level [K, n * D] for the patches that `selected`, int32 [K, 1], names,
    // each m * L + t: the rest of the last block for their rows alone. A row of it depends on no other row, so that
    // on the CPU they are the same, bit for bit.
    struct LastAttention {
        Tensor x, attended;
    };
    LastAttention attend(Tape& tape, const Tensor& patches, const Prefix& prefix, const Tensor& mask) const;
    Tensor next_conditions(Tape& tape, const LastAttention& last, const Tensor& selected) const;

    // The same of sampling, in one kernel (kernels/level/mar_level.h), on devices that have it and for few
    // sequences: whether it takes up to so many; its weights, for one job; and the next level's conditions of the
    // patches `selected`, for `packed` of the same job.
    bool fits_one_kernel(const Tape& tape, std::int64_t sequences) const;
    Tensor pack_for_sampling(Tape& tape) const;
    Tensor sampling_conditions(Tape& tape, const Tensor& patches, const Prefix& prefix, const Tensor& mask,
                               const Tensor& selected, const Tensor& packed) const;

    // From forward's outputs to the conditions of the next level (runtime/ops/masking_ops.h,
    // neighbour_conditions).
    const NeighbourShape& neighbours() const { return neighbours_; }
    // The model of the guiding pixel given the level's first condition; null if the level is not guided.
    const PixelLevel* guiding_level() const { return guiding_level_.get(); }

  private:
    // [guiding pixel, conditions, patches], normalised: the first block's input.
    Tensor sequence(Tape& tape, const Tensor& patches, const Prefix& prefix, const Tensor& mask) const;
    MarLevelShape kernel_shape(std::int64_t sequences) const;

    std::int64_t inputs_, conditions_, heads_;  // values of a patch; conditions of a sequence
    bool of_codes_;
    std::int64_t prefix_tokens_, length_, width_;  // in front of the patches, of a sequence, of a token
    NeighbourShape neighbours_;
    const Parameter *mask_token_, *positions_;
    PatchEmbedding patch_embedding_;
    const Parameter *patch_norm_weight_, *patch_norm_bias_, *condition_weight_, *condition_bias_,
        *pixel_weight_ = nullptr, *pixel_bias_ = nullptr, *norm_weight_, *norm_bias_;
    std::vector<VitBlock> blocks_;
    std::unique_ptr<PixelLevel> guiding_level_;
};
