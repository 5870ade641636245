// Copies with a computed place: a thread per 16 bytes of a row, or per id.
//
// ptxas budget: 40 registers, no spills
#include "kernels/layout/token_patches.h"

#include "kernels/common/rows.cuh"

namespace cuda {
namespace {

constexpr unsigned block_threads = 128;

// The place of a token, counted over all images, among the patches' tokens.
struct PatchPlace {
    Divisor by_side, by_patch;
    std::uint32_t side, patch;

    explicit PatchPlace(const TokenGrid& grid)
        : by_side(grid.side),
          by_patch(grid.patch),
          side(static_cast<std::uint32_t>(grid.side)),
          patch(static_cast<std::uint32_t>(grid.patch)) {}

    // Rows of all images follow each other, and so do their patches: the image need not be known.
    __device__ std::int64_t of(std::int64_t token) const {
        const auto t = static_cast<std::uint32_t>(token);
        const std::uint32_t row = by_side.quotient(t), column = t - row * side, band = by_patch.quotient(row),
                            within = by_patch.quotient(column);
        return static_cast<std::int64_t>(band) * patch * side + within * patch * patch +
               (row - band * patch) * patch + (column - within * patch);
    }
};

__global__ void move_ids(std::int32_t* y, const std::int32_t* x, std::int64_t count, PatchPlace place) {
    wait_for_previous_kernel();
    const std::int64_t t = thread_index();
    if (t < count) y[place.of(t)] = x[t];
}

struct MoveRows {
    static constexpr int chunk = Packed<float>::count;
    float* y;
    const float* x;
    PatchPlace place;
    std::int64_t width;

    template <int n>
    __device__ void run(std::int64_t token, std::int64_t column) const {
        copy_elements<n>(y + token * width + column, x + place.of(token) * width + column);
    }
};

}  // namespace

void ids_to_patches(Stream stream, std::int32_t* y, const std::int32_t* x, const TokenGrid& grid) {
    launch(move_ids, blocks_for(grid.tokens(), block_threads), block_threads, 0, stream, y, x, grid.tokens(),
           PatchPlace(grid));
}

void patches_to_raster(Stream stream, float* y, const float* x, const TokenGrid& grid, std::int64_t width) {
    const bool packed = width % Packed<float>::count == 0 && aligned(y, x);
    for_rows(stream, grid.tokens(), width, packed, MoveRows{y, x, PatchPlace(grid), width});
}

}  // namespace cuda
