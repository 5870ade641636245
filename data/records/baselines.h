// Bits per dimension of simple codes for a data set: baselines for a model's likelihood.
#pragma once

#include <cstdint>

#include "data/records/packed.h"

// Bytes of pictures as files, each by itself.
struct FileSizes {
    std::int64_t png = 0;   // adaptive filters, zlib at its best
    std::int64_t webp = 0;  // lossless, libwebp's method 4 at quality 80
};
// Of pictures [count, channels, size, size].
FileSizes file_sizes(const std::uint8_t* pictures, std::int64_t count, int size, int channels);

// Bits per dimension (per byte of an image).
struct Baselines {
    std::int64_t images = 0;  // measured
    // Of the bytes as independent draws from each channel's histogram over these images.
    double entropy = 0.0;
    double png = 0.0, webp = 0.0;  // of FileSizes
};

// Of the first `images` records, or of all if there are fewer. Throws Error if images < 1.
Baselines measure_baselines(const PackedFile& file, std::int64_t images);
