// Tokens of a grid and of its patches: images of side x side tokens in raster order, and the same tokens
// patch by patch, the patch x patch tokens of each in raster order. The token at (row, column) of its image
// has the place
//
//   ((row / p) (side / p) + column / p) p^2 + (row % p) p + column % p,   p = patch
//
// Each moves every element once in and once out.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

struct TokenGrid {
    std::int64_t images, side, patch;  // patch divides side

    std::int64_t tokens() const { return images * side * side; }
};

namespace cpu {

// y [images, side^2] = the ids x [images, side^2], from raster order to that of patches. No aliasing.
void ids_to_patches(std::int32_t* y, const std::int32_t* x, const TokenGrid& grid);
// y [images * side^2, width] = the rows of x, from the order of patches to raster order. No aliasing.
void patches_to_raster(float* y, const float* x, const TokenGrid& grid, std::int64_t width);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void ids_to_patches(Stream stream, std::int32_t* y, const std::int32_t* x, const TokenGrid& grid);
void patches_to_raster(Stream stream, float* y, const float* x, const TokenGrid& grid, std::int64_t width);

}  // namespace cuda
