// A token at a time: rows are copied at memory speed, and ids are few.
#include "kernels/layout/token_patches.h"

#include <cstring>

#include "kernels/common/partition.h"

namespace cpu {

// Place of token `t`, counted over all images, among the patches' tokens.
static std::int64_t place_of(std::int64_t t, const TokenGrid& grid) {
    const std::int64_t side = grid.side, p = grid.patch, row = t / side % side, column = t % side,
                       image = t / (side * side);
    return image * side * side + (row / p * (side / p) + column / p) * p * p + row % p * p + column % p;
}

void ids_to_patches(std::int32_t* y, const std::int32_t* x, const TokenGrid& grid) {
    for_each_task(grid.tokens(), grid.tokens(), [=](std::int64_t t) { y[place_of(t, grid)] = x[t]; });
}

void patches_to_raster(float* y, const float* x, const TokenGrid& grid, std::int64_t width) {
    for_each_task(grid.tokens(), grid.tokens() * width, [=](std::int64_t t) {
        std::memcpy(y + t * width, x + place_of(t, grid) * width,
                    static_cast<std::size_t>(width) * sizeof(float));
    });
}

}  // namespace cpu
