// Place of a patch's neighbours in the grid of patches, in the order of neighbours.h.
#pragma once

namespace cuda {

// Place of the patch `direction` (itself, top, right, bottom, left) of patch t, or beyond the border.
struct NeighbourPlace {
    int row, column;
    __device__ NeighbourPlace(int t, int side, int direction, int distance) {
        const int down = direction == 1   ? -1
                         : direction == 3 ? 1
                                          : 0,
                  right = direction == 2   ? 1
                          : direction == 4 ? -1
                                           : 0;
        row = t / side + distance * down;
        column = t % side + distance * right;
    }
    __device__ bool inside(int side) const { return row >= 0 && row < side && column >= 0 && column < side; }
};

}  // namespace cuda
