// Bits per dimension of simple codes for a data set: baselines for a model's likelihood.
#pragma once

#include <cstdint>

#include "data/records/packed.h"

// Bits per dimension (per byte of an image).
struct Baselines {
    std::int64_t images = 0;  // measured
    // Of the bytes as independent draws from each channel's histogram over these images.
    double entropy = 0.0;
    double png = 0.0;   // whole files, adaptive filters, zlib at its best
    double webp = 0.0;  // whole files, lossless, libwebp's method 4 at quality 80
};

// Of the first `images` records, or of all if there are fewer. Throws Error if images < 1.
Baselines measure_baselines(const PackedFile& file, std::int64_t images);
