// Features of a set of pictures that are read, or drawn, batch by batch and never written.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "models/metrics/open_features.h"
#include "runtime/ranks/comm.h"

struct PictureSet {
    std::string name;  // in messages
    std::int64_t count = 0, channels = 3;
    MapSize size;
    // Pictures `first` to `first` + n - 1, [n, channels, height, width].
    std::function<std::vector<std::uint8_t>(std::int64_t first, std::int64_t n)> read;
    // In its place, the same in values from 0 to 255 that are not rounded.
    std::function<std::vector<float>(std::int64_t first, std::int64_t n)> read_unrounded = {};
    // Neighbours that are read together, by the same rank: `first` and n are multiples of it. Divides `count`.
    std::int64_t together = 1;
};

struct PictureFeatures {
    FeatureMatrix features, logits;  // logits without rows if the network has none
};

// Called with the number of pictures measured so far, of `count`; may throw.
using CountProgress = std::function<void(std::int64_t done, std::int64_t count)>;

// Of all pictures of the set, `batch` at once, a multiple of `together`. Ranks (null: this process alone) take
// parts of equal size, and rank 0 gets all features, the others none. Grey pictures are taken as RGB of equal
// channels, and the other way round. Throws UsageError for pictures that the network does not take, Error if
// memory is short, and what `read` and `progress` throw.
PictureFeatures features_of(const PictureSet& pictures, const OpenedFeatures& features, std::int64_t batch,
                            const Comm* comm = nullptr, const CountProgress& progress = {});
// The same by several networks, for which the pictures are read once.
std::vector<PictureFeatures> features_of(const PictureSet& pictures,
                                         std::span<const OpenedFeatures* const> networks, std::int64_t batch,
                                         const Comm* comm = nullptr, const CountProgress& progress = {});
