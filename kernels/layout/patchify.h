// Pictures to square patches and back.
//
// images [M, C, s, s], patches [M, L, C, p, p] with L = (s / p)^2 in raster order; p must divide s. Inside a
// patch the order is channel, row, column: the layout of an image of size p, so patches are the next level's
// images. Both move 8 bytes per element, without arithmetic. No aliasing.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

void patchify(float* patches, const float* images, std::int64_t M, std::int64_t C, std::int64_t s,
              std::int64_t p);

// The inverse, and the gradient of patchify.
void unpatchify(float* images, const float* patches, std::int64_t M, std::int64_t C, std::int64_t s,
                std::int64_t p);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void patchify(Stream stream, float* patches, const float* images, std::int64_t M, std::int64_t C,
              std::int64_t s, std::int64_t p);
void unpatchify(Stream stream, float* images, const float* patches, std::int64_t M, std::int64_t C,
                std::int64_t s, std::int64_t p);

}  // namespace cuda
