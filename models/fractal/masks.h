// Masks of the patches that a pass predicts. MAR levels mask some patches and pass only those to the next
// level, so the masks determine the number of sequences of every level. They are drawn on the host for a
// whole batch before it runs: the loss is divided by counts that must be known before the first gradient, and
// every number is keyed by (seed, step, sequence id), so that ranks need not communicate.
//
// Source: Li et al., "Fractal Generative Models" (2025, arXiv 2502.17437), section 4.2; the distribution of
// the ratio is MAR's (Li et al. 2024, arXiv 2406.11838), truncated to [0, 1].
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/fractal/config.h"

// Masks of one level. Sequences are in the order of the pass: sample-major, then raster.
struct LevelMasks {
    std::vector<std::int64_t>
        sequence_ids;  // id of each sequence: its parent's sequence_id * L + its index there
    std::vector<std::uint8_t>
        mask;  // [sequences, L], 1 = predicted; empty for an AR level, which predicts all
    std::vector<std::int32_t> selected;  // m * L + t of the masked patches, ascending
    std::vector<std::int64_t> starts;    // [sequences + 1]: where each sequence's part of `selected` begins
};

class FractalMasks {
  public:
    // Draws the mask [L] of one sequence.
    using Draw =
        std::function<void(std::size_t level, std::int64_t sequence_id, std::span<std::uint8_t> mask)>;

    FractalMasks() = default;
    // For the samples of these numbers. Throws std::logic_error if a mask is empty.
    FractalMasks(const FractalConfig& config, std::span<const std::int64_t> samples, const Draw& draw);

    const LevelMasks& level(std::size_t level) const { return levels_[level]; }
    // Sequences that a level processes, over the whole batch; of the pixel level: pixels.
    std::int64_t sequences(std::size_t level) const { return sequences_[level]; }
    std::span<const std::int64_t> sequences() const { return sequences_; }

  private:
    std::vector<LevelMasks> levels_;
    std::vector<std::int64_t> sequences_;
};

// Training: the ratio of each sequence from normal(1, 0.25) truncated to [0, 1], ceil(L ratio) patches, at
// least one, in uniformly random places.
FractalMasks training_masks(const FractalConfig& config, std::span<const std::int64_t> samples,
                            std::uint64_t seed, std::uint32_t step);
// Numbers of sequences of each level (FractalMasks::sequences, the pixel level included) without drawing
// masks on which the counts do not depend: a rank needs the counts of the other ranks' samples in every step.
std::vector<std::int64_t> training_sequences(const FractalConfig& config,
                                             std::span<const std::int64_t> samples, std::uint64_t seed,
                                             std::uint32_t step);
// Likelihood: one count for all sequences of a level, uniform in 1..L, drawn for (seed, pass, batch);
// uniformly random places. The mean loss over the masked patches then estimates the bound over all orders.
FractalMasks evaluation_masks(const FractalConfig& config, std::span<const std::int64_t> samples,
                              std::uint64_t seed, std::uint32_t pass, std::uint64_t batch);
