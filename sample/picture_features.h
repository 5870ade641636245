// Features of a set of pictures, read or drawn batch by batch and never written.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "data/records/picture_source.h"
#include "models/metrics/open_features.h"
#include "runtime/ranks/comm.h"
#include "sample/picture_drawer.h"

struct PictureFeatures {
    FeatureMatrix features, logits;  // logits without rows if the network has none
};

// Called with the number of pictures measured so far, of `count`; may throw.
using CountProgress = std::function<void(std::int64_t done, std::int64_t count)>;

// The first `count` pictures of a source, `batch` at once. Ranks each take an equal part of
// them, and rank 0 gets all. Throws Error.
PictureFeatures features_of(const PictureSource& pictures, std::int64_t count, const OpenedFeatures& features,
                            std::int64_t batch, const Comm& comm, const CountProgress& progress);

// Pictures 0 to `count` - 1 of a model, its classes in turn, by `seed`; the same.
PictureFeatures features_of(PictureDrawer& drawer, std::span<const std::int64_t> classes, std::int64_t count,
                            std::uint64_t seed, const OpenedFeatures& features, std::int64_t batch,
                            const Comm& comm, const CountProgress& progress);
