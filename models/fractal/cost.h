// Cost of a fractal model by formula: parameters, operations, attention entries and memory of each of its
// networks. An operation is a multiplication or an addition, so a multiply-add counts 2; norms, activations,
// softmax and the optimizer are not counted.
//
// Per sequence, multiply-adds, with L tokens to predict, width D, n blocks, P values in a patch (of a model of
// codes: elements of their embeddings), V values of a channel, conditions of width E, K of them, T tokens in the
// sequence and A pairs of tokens that attend (scores and values: 2 D each):
//
//   AR level     n (T (4 D^2 + 3 D F) + 2 D A) + patches P D + E D          F: gated_width
//   MAR level    n (T 12 D^2 + 2 D A) + L P D + K E D (+ C D guiding pixel)
//   pixel level  n (T 12 D^2 + 2 D A) + V C D + E D
//
//                      this engine                             the paper's count
//   AR level           T = L, A = L (L + 1) / 2, patches L-1   T = L + 1, A = T^2, patches L
//   MAR level          T = L + K (+ 1), A = T^2                the same
//   pixel level        T = C, A = C (C + 1) / 2                T = C + 1, A = T^2
//   conditions (E D)   counted                                 not counted
//
// Sampling runs the engine's forward pass once, a MAR level's in every step. Where few rows of a MAR level's last block
// are read (outputs_drawn_rows_alone), its output projection and MLP are counted, and computed, for these alone:
// 9 D^2 for each patch and condition that is handed on, once, in place of 9 T D^2 in every step.
//
// The paper's count reproduces its figures (512, 1,073 and 1,134 GFLOP): published sequences, the full
// attention matrix although a causal one needs half, but not the projections of the conditions. This engine's
// count is the arithmetic performed: without tokens and pairs on which no output depends.
//
// Source: Li et al., "Fractal Generative Models" (2025, arXiv 2502.17437), section 4.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/fractal/config.h"

// Settings of sampling that affect its cost.
struct SamplingCostRule {
    // Steps of each level above the pixels, outermost first; ignored for AR levels, which take one step per
    // patch.
    std::vector<std::int64_t> iterations;
    bool guided = false;  // classifier-free guidance: every sequence twice, conditional and unconditional
};

// One network: the generator of a level, the guiding-pixel model of a level, or the pixel level.
struct NetworkCost {
    enum class Kind { ar, mar, guiding_pixel, pixel };
    Kind kind = Kind::ar;
    std::size_t level = 0;
    std::int64_t tokens = 0;  // predicted per sequence: patches, or channels of a pixel
    std::int64_t width = 0, blocks = 0, heads = 0;
    std::int64_t parameters = 0;
    double sequences = 0;           // of one image with all its patches
    double training_sequences = 0;  // of one image in training: a MAR level passes on the masked patches only
    // Operations of one image: a forward pass with all patches as the paper counts, the same as this engine
    // computes it; training forward and backward, for the expected number of sequences; sampling.
    double published_forward = 0, forward = 0, training = 0, sampling = 0;
    double attention_entries = 0;  // of one image: sequences * tokens^2
    // fp32 bytes that the tape keeps of one sequence until its backward pass, without recomputation, and that
    // sampling keeps of one sequence (keys and values of AR levels; 0 for the others).
    double activation_bytes = 0, cache_bytes = 0;
};

struct FractalCost {
    std::vector<NetworkCost> networks;  // outermost first; a level's guiding-pixel model before its generator
    std::int64_t class_parameters = 0;  // class embeddings and the unconditional one

    std::int64_t parameters() const;
    // Over all networks: sum(&NetworkCost::forward).
    double sum(double NetworkCost::*quantity) const;
};
// Throws UsageError if the number of iterations is not the number of levels above the pixels, or for guidance
// of a model without classes.
FractalCost fractal_cost(const FractalConfig& config, const SamplingCostRule& rule);

// Entries of an attention matrix over all pixels of an image at once.
double full_attention_entries(const FractalConfig& config);

// Expectation of ceil(tokens * ratio), the masked patches of a sequence in training: ratio from a normal
// distribution (1, 0.25) truncated to [0, 1].
double expected_masked_patches(std::int64_t tokens);

// fp32 bytes. Activations: for `batch` images while every level works on one chunk of at most chunks[level]
// sequences; guiding-pixel models do not count, they are done before the larger generator of their level
// begins. Caches: one sequence open per row and AR level; `rows` = images, twice as many with guidance.
struct MemoryCost {
    double weights = 0, gradients = 0, moments = 0, activations = 0, caches = 0;

    double training() const { return weights + gradients + moments + activations; }
};
MemoryCost memory_cost(const FractalCost& cost, std::int64_t batch, std::int64_t rows,
                       std::span<const std::int64_t> chunks);
