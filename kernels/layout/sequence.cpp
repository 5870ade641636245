// Both ways are one pass over x. The backward pass copies a row out and adds it to its position's sum in the
// same breath. Tasks are (slice of sequences, position): at the pixel level there are 4 positions and
// thousands of sequences, at the outermost level hundreds of positions and a few sequences, and either gives
// enough of them.
#include "kernels/layout/sequence.h"

#include <algorithm>

#include "kernels/common/partition.h"

namespace cpu {

void level_sequence_forward(float* x, const float* cond, const float* tokens, const float* pos,
                            std::int64_t M, std::int64_t L, std::int64_t D) {
    for_each_task(M * L, M * L * D, [=](std::int64_t row) {
        const std::int64_t m = row / L, t = row % L;
        const float* source = t == 0 ? cond + m * D : tokens + (m * (L - 1) + t - 1) * D;
        const float* position = pos + t * D;
        float* out = x + row * D;
#pragma omp simd
        for (std::int64_t i = 0; i < D; ++i) out[i] = source[i] + position[i];
    });
}

void level_sequence_backward(float* dcond, float* dtokens, float* dpos, float* workspace, const float* dx,
                             std::int64_t M, std::int64_t L, std::int64_t D) {
    const std::int64_t slices = row_slices(M);
    for_each_task(slices * L, M * L * D, [=](std::int64_t task) {
        const std::int64_t t = task % L;
        const auto [begin, end] = row_slice(M, slices, task / L);
        float* part = workspace + task * D;
        std::fill(part, part + D, 0.0f);
        for (std::int64_t m = begin; m < end; ++m) {
            const float* gradient = dx + (m * L + t) * D;
            float* out = t == 0 ? dcond + m * D : dtokens + (m * (L - 1) + t - 1) * D;
#pragma omp simd
            for (std::int64_t i = 0; i < D; ++i) {
                out[i] = gradient[i];
                part[i] += gradient[i];
            }
        }
    });
    add_slices(dpos, workspace, L * D, slices, L * D);
}

std::int64_t level_sequence_backward_workspace(std::int64_t M, std::int64_t L, std::int64_t D) {
    return row_slices(M) * L * D;
}

}  // namespace cpu
