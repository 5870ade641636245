// Masks of a training step. The mask ratio of each image is drawn from a Beta distribution (Ni et al. 2024,
// section 4: optimised together with the generation schedules); on the host, keyed by (seed, step, sample),
// so that every rank computes the counts of all ranks without communication.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/nat/config.h"

struct MaskRule {
    double alpha = 12, beta = 3;  // of the ratio's distribution
};

struct NatMasks {
    std::vector<std::uint8_t> mask;  // [samples, N], 1: hidden
    std::int64_t hidden = 0;         // in all
};

// round(N ratio) tokens of each sample, halves to even, at least one, in uniformly random places.
NatMasks draw_masks(const NatConfig& config, const MaskRule& rule, std::span<const std::int64_t> samples,
                    std::uint64_t seed, std::uint32_t step);
// Total number of masked tokens, without drawing their positions: a rank needs the counts of the other ranks'
// samples in every step.
std::int64_t count_hidden(const NatConfig& config, const MaskRule& rule,
                          std::span<const std::int64_t> samples, std::uint64_t seed, std::uint32_t step);

// Contexts of a training step: the samples' labels, each without a class (no_class()) with this probability,
// or if it has none (-1).
std::vector<std::int32_t> draw_contexts(const NatConfig& config, std::span<const std::int32_t> labels,
                                        std::span<const std::int64_t> samples, float drop, std::uint64_t seed,
                                        std::uint32_t step);
