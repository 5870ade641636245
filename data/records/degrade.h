// Packed pictures made worse on purpose: what a measure of quality has to notice.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "data/records/pack.h"

struct Degradation {
    double blur = 0;                      // standard deviation of a Gaussian in pixels; 0: none
    double noise = 0;                     // of normal noise, in values of 0 to 255; 0: none
    std::optional<std::int64_t> without;  // class whose pictures are left out
    bool repeats = false;                 // every picture is the first one
    std::uint64_t seed = 0;               // of the noise
};

// Writes the pictures of packed file `from` to `to`, worse: left out first, then repeated, blurred (the
// border's pixels continue outside), noisy; clamped and rounded. Labels and captions stay with their
// pictures. Throws Error, also if nothing is left.
void degrade(const std::filesystem::path& from, const std::filesystem::path& to, const Degradation& how,
             const PackProgress& progress);
