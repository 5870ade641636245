// The recursion (paper, section 3): a fractal generator calls the next level's generator once per patch, down
// to the channels of one pixel. Training cuts the image into patches, predicts a condition for each, and
// hands patches and conditions to the next level as a larger batch; the loss is the pixel level's.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "models/fractal/ar_level.h"
#include "models/fractal/config.h"
#include "models/fractal/pixel_level.h"
#include "runtime/parameters.h"
#include "runtime/tape.h"

// Sequences that each level processes at once: images for level 0, then patches, last pixels. Bounds memory;
// the mathematics does not depend on it.
using ChunkSizes = std::vector<std::int64_t>;

class FractalModel {
  public:
    FractalModel(FractalConfig config, Device device);

    const FractalConfig& config() const { return config_; }
    Parameters& parameters() { return parameters_; }
    const Parameters& parameters() const { return parameters_; }
    const ArLevel& generator(std::size_t level) const { return levels_[level]; }
    const PixelLevel& pixel_level() const { return *pixel_level_; }

    // Chunks that keep a level's activations in the processor's larger caches: about 2,048 tokens each.
    ChunkSizes default_chunks() const;

    // Condition of level 0 for each sample [B, D]: row `id` of (fake_latent, class_emb), so id 0 is
    // unconditional and class k is k + 1. ids int32 [B, 1].
    Tensor class_condition(Tape& tape, const Tensor& ids) const;

    // One batch: images normalised [B, C * s^2], ids as above, paths int64 [B, 1] (the samples' numbers).
    // Adds the summed cross-entropy of each channel to totals (double [1, C]). While the tape records, the
    // gradient of sum_c scales[c] * (that sum) is added to the parameters' gradients, and nothing stays on
    // the tape.
    void loss(Tape& tape, const Tensor& images, const Tensor& ids, const Tensor& paths,
              std::span<const float> scales, const Tensor& totals, const PassRule& rule,
              const ChunkSizes& chunks) const;

  private:
    struct Pass;
    void level_loss(const Pass& pass, std::size_t level, const Tensor& images, const Tensor& condition,
                    const Tensor& paths) const;

    FractalConfig config_;
    Parameters parameters_;
    const Parameter* class_table_;
    std::deque<ArLevel> levels_;
    std::unique_ptr<PixelLevel> pixel_level_;
};

// Weights of the channels' cross-entropies in the training loss, (w, 1, 1) / (w + 2) with w = 5 for red, each
// divided by the number of pixels; in the likelihood 1 / 3 each. One channel: 1.
std::vector<float> channel_scales(std::int64_t channels, double red_weight, double pixels);
