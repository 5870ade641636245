// The recursion (paper, section 3): a fractal generator calls the next level's generator once per patch, down
// to the channels of one pixel. Training divides the image into patches, predicts a condition for each patch
// (MAR: for each masked patch), and passes these patches and conditions to the next level as a larger batch;
// the loss is the pixel level's, plus that of the guiding pixels if there are any.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "models/fractal/ar_level.h"
#include "models/fractal/config.h"
#include "models/fractal/mar_level.h"
#include "models/fractal/masks.h"
#include "models/fractal/pixel_level.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// Sequences that each level processes at once: images for level 0, then patches, last pixels. Bounds memory;
// the mathematics does not depend on it.
using ChunkSizes = std::vector<std::int64_t>;

class FractalModel {
  public:
    FractalModel(FractalConfig config, Backend backend);

    const FractalConfig& config() const { return config_; }
    Backend backend() const { return backend_; }
    Parameters& parameters() { return parameters_; }
    const Parameters& parameters() const { return parameters_; }
    // The generator of a level, by its type.
    const ArLevel& ar_level(std::size_t level) const { return std::get<ArLevel>(levels_[level]); }
    const MarLevel& mar_level(std::size_t level) const { return std::get<MarLevel>(levels_[level]); }
    const PixelLevel& pixel_level() const { return *pixel_level_; }

    // As many sequences of each level as hold about `tokens` tokens, at least one.
    ChunkSizes chunks_of(std::int64_t tokens) const;
    // About 2,048 tokens each on the CPU, which keeps a level's activations in its larger caches; 65,536 on
    // the GPU, enough to occupy it.
    ChunkSizes default_chunks() const;

    // Condition of level 0 for each sample [B, n * D], its n conditions all equal: row `id` of (fake_latent,
    // class_emb), so id 0 is unconditional and class k is k + 1.
    Tensor class_condition(Tape& tape, std::span<const std::int32_t> ids) const;

    // One batch: images normalised [B, C * s^2], ids as above, masks of their samples. Adds the summed
    // cross-entropies to totals (double [generators + 1, C]): row i of level i's guiding pixels, the last row
    // of the pixels. While the tape records, the gradient of the sum of scales * totals is added to the
    // parameters' gradients, and nothing stays on the tape. While planning, ids' values and masks are not
    // read, and the plan holds for all of them. `listener`, null while planning, is called when gradients are
    // final; `progress`, not called while planning, receives the share of the batch that is done, which grows
    // from 0 with every chunk of every level.
    void loss(Tape& tape, const Tensor& images, std::span<const std::int32_t> ids, const FractalMasks& masks,
              std::span<const float> scales, const Tensor& totals, const PassRule& rule,
              const ChunkSizes& chunks, GradientReadyListener* listener = nullptr,
              const std::function<void(double share)>& progress = {}) const;

  private:
    struct Pass;
    void level_loss(Pass& pass, std::size_t level, const Tensor& images, const Tensor& condition) const;
    void ar_loss(Pass& pass, std::size_t level, const Tensor& patches, const Tensor& condition) const;
    void mar_loss(Pass& pass, std::size_t level, const Tensor& patches, const Tensor& condition,
                  const Tensor& guiding_pixel) const;
    void children_loss(Pass& pass, std::size_t level, const Tensor& patches, const Tensor& conditions) const;
    Tensor jittered(Pass& pass, std::size_t level, const Tensor& guiding_pixel) const;
    void pixel_loss(Pass& pass, const PixelLevel& model, std::size_t row, const Tensor& normalized,
                    const Tensor& condition) const;

    FractalConfig config_;
    Backend backend_;
    Parameters parameters_;
    const Parameter* class_table_;
    std::deque<std::variant<ArLevel, MarLevel>> levels_;
    std::vector<std::size_t>
        level_begins_;  // of each level's parameters in their slab, the pixel level included
    std::unique_ptr<PixelLevel> pixel_level_;
};

// Scales of the cross-entropies in the loss, one row of channels for each row of totals: the channels'
// weights (w, 1, 1) / (w + 2) divided by that row's number of terms; w is 5 in training, 1 for the
// likelihood. `terms` [generators + 1]: sequences of the guided levels and pixels, over everything the loss
// is a mean of; 0 where a level has no guiding pixel.
std::vector<float> loss_scales(const FractalConfig& config, double red_weight, std::span<const double> terms);
// Terms of one batch whose levels have so many sequences (FractalMasks::sequences).
std::vector<double> loss_terms(const FractalConfig& config, std::span<const std::int64_t> sequences);
inline std::vector<double> loss_terms(const FractalConfig& config, const FractalMasks& masks) {
    return loss_terms(config, masks.sequences());
}
