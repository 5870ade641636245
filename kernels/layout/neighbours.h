// From a MAR level's outputs to the conditions of the next level: a patch's own output and those of its
// neighbours in the grid of patches, for the patches that go on.
//
//   y[k, j] = x[m, P + t_j]   for the patch t of sequence m that selected[k] names, and t_j, j < n, itself,
//                             the patch above it, to its right, below it, to its left; 0 beyond the border
//
// Source: Li et al., "Fractal Generative Models" (2025, arXiv 2502.17437), section 4.2; order as released.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

struct NeighbourShape {
    std::int64_t side;    // L = side^2 patches
    std::int64_t prefix;  // P: tokens in front of the patches
    std::int64_t n;       // conditions per patch, 1 to 5
    std::int64_t D;       // width
};

namespace cpu {

// y [K, n, D] overwritten; x [M, P + L, D]; selected [K], each m * L + t. Moves 8 bytes per element of y.
void gather_neighbours(float* y, const float* x, const std::int32_t* selected, std::int64_t K,
                       const NeighbourShape& shape);

// dx [M, P + L, D] overwritten, 0 for rows that no selected patch has read; dy [K, n, D]; rows [M, L]: the
// place of a patch in `selected`, or -1. A gather as well, so sums have a fixed order.
void gather_neighbours_backward(float* dx, const float* dy, const std::int32_t* rows, std::int64_t M,
                                const NeighbourShape& shape);

// The same rows of two tensors for what a block still does with them, its input x and what attention returned.
// Moves 16 bytes per element of y.
void gather_neighbour_rows(float* y, float* attended_y, const float* x, const float* attended,
                           const std::int32_t* selected, std::int64_t K, const NeighbourShape& shape);

// y [K, n, D] from the rows themselves, x [K, n, D]: copied, but 0 beyond the border. Moves 8 bytes per element of y.
void join_neighbours(float* y, const float* x, const std::int32_t* selected, std::int64_t K,
                     const NeighbourShape& shape);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void gather_neighbours(Stream stream, T* y, const T* x, const std::int32_t* selected, std::int64_t K,
                       const NeighbourShape& shape);
template <class T>
void gather_neighbours_backward(Stream stream, T* dx, const T* dy, const std::int32_t* rows, std::int64_t M,
                                const NeighbourShape& shape);
template <class T>
void gather_neighbour_rows(Stream stream, float* y, T* attended_y, const float* x, const T* attended,
                           const std::int32_t* selected, std::int64_t K, const NeighbourShape& shape);
template <class T>
void join_neighbours(Stream stream, T* y, const T* x, const std::int32_t* selected, std::int64_t K,
                     const NeighbourShape& shape);

}  // namespace cuda
