// Rows are 200 to 5,000 bytes: the work is copying them. The backward pass gathers, for every output, the
// gradients of up to five patches that received it, instead of scattering each gradient to its source: no two
// threads write the same row.
#include "kernels/layout/neighbours.h"

#include <algorithm>

#include "kernels/common/partition.h"

namespace cpu {

// Steps in the grid from a patch to its condition's patch: itself, top, right, bottom, left.
static constexpr std::int64_t row_steps[5] = {0, -1, 0, 1, 0}, column_steps[5] = {0, 0, 1, 0, -1};

// y [K, n, D] from the tokens of x [M, P + L, D] or, `joins`, from the rows of x [K, n, D]; 0 beyond the border.
template <bool joins>
static void copy_neighbours(float* y, const float* x, const std::int32_t* selected, std::int64_t K,
                            const NeighbourShape& shape) {
    const auto [side, prefix, n, D] = shape;
    const std::int64_t L = side * side;
    for_each_task(K, K * n * D, [=](std::int64_t k) {
        const std::int64_t m = selected[k] / L, t = selected[k] % L;
        for (std::int64_t j = 0; j < n; ++j) {
            const std::int64_t row = t / side + row_steps[j], column = t % side + column_steps[j];
            float* out = y + (k * n + j) * D;
            if (row < 0 || row >= side || column < 0 || column >= side) {
                std::fill_n(out, D, 0.0f);
                continue;
            }
            const std::int64_t from = joins ? k * n + j : m * (prefix + L) + prefix + row * side + column;
            std::copy_n(x + from * D, D, out);
        }
    });
}

void gather_neighbours(float* y, const float* x, const std::int32_t* selected, std::int64_t K,
                       const NeighbourShape& shape) {
    copy_neighbours<false>(y, x, selected, K, shape);
}

void gather_neighbour_rows(float* y, float* attended_y, const float* x, const float* attended,
                           const std::int32_t* selected, std::int64_t K, const NeighbourShape& shape) {
    copy_neighbours<false>(y, x, selected, K, shape);
    copy_neighbours<false>(attended_y, attended, selected, K, shape);
}

void join_neighbours(float* y, const float* x, const std::int32_t* selected, std::int64_t K,
                     const NeighbourShape& shape) {
    copy_neighbours<true>(y, x, selected, K, shape);
}

void gather_neighbours_backward(float* dx, const float* dy, const std::int32_t* rows, std::int64_t M,
                                const NeighbourShape& shape) {
    const auto [side, prefix, n, D] = shape;
    const std::int64_t L = side * side, T = prefix + L;
    for_each_task(M * T, M * T * D, [=](std::int64_t task) {
        const std::int64_t m = task / T, t = task % T - prefix;
        float* out = dx + task * D;
        std::fill_n(out, D, 0.0f);
        if (t < 0) return;
        for (std::int64_t j = 0; j < n; ++j) {
            const std::int64_t row = t / side - row_steps[j], column = t % side - column_steps[j];
            if (row < 0 || row >= side || column < 0 || column >= side) continue;
            const std::int64_t k = rows[m * L + row * side + column];
            if (k < 0) continue;
            const float* gradient = dy + (k * n + j) * D;
#pragma omp simd
            for (std::int64_t i = 0; i < D; ++i) out[i] += gradient[i];
        }
    });
}

}  // namespace cpu
