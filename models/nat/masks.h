// Masks of a training step. The mask ratio of each image is drawn from a Beta distribution (Ni et al. 2024,
// section 4: optimised together with the generation schedules) or the cosine's; on the host, keyed by (seed, step, sample),
// so that every rank computes the counts of all ranks without communication.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/nat/config.h"

struct MaskRule {
    double alpha = 12, beta = 3;  // of the ratio's distribution
    bool cosine = false;          // in its place: cosine_ratio of a uniform u (Muse; Chang et al. 2023)
};

struct NatMasks {
    std::vector<std::uint8_t> mask;  // [samples, N], 1: hidden
    std::int64_t hidden = 0;         // in all
};

// round(N ratio) tokens, halves to even, at least one.
std::int64_t masked_tokens(const NatConfig& config, double ratio);
// u in [0, 1) -> cos(pi / 2 u).
double cosine_ratio(double u);

// So many tokens of each sample, in uniformly random places.
NatMasks draw_masks(const NatConfig& config, const MaskRule& rule, std::span<const std::int64_t> samples,
                    std::uint64_t seed, std::uint32_t step);
// Total number of masked tokens, without drawing their positions: a rank needs the counts of the other ranks'
// samples in every step.
std::int64_t count_hidden(const NatConfig& config, const MaskRule& rule,
                          std::span<const std::int64_t> samples, std::uint64_t seed, std::uint32_t step);

// Draws of the conditions of a training step.
struct ConditionDraw {
    float drop = 0;  // probability with which a sample is trained without its condition
    std::uint64_t seed = 0;
    std::uint32_t step = 0;
};
bool drops_condition(const ConditionDraw& draw, std::int64_t sample);
// Which of `count` captions, > 0, a sample is trained with.
std::int64_t drawn_caption(const ConditionDraw& draw, std::int64_t sample, std::int64_t count);
// Contexts of classes: the samples' labels, no_class() where there is none (-1) or it is dropped.
std::vector<std::int32_t> draw_contexts(const NatConfig& config, std::span<const std::int32_t> labels,
                                        std::span<const std::int64_t> samples, const ConditionDraw& draw);
