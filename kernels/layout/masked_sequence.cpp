// One pass over x each way, as in sequence.cpp. A task of the backward pass is (slice of sequences,
// position): it copies its rows out, and sums them, for the position and (where masked) for the mask token,
// into its own two rows of the workspace, so that no sum depends on the number of threads.
#include "kernels/layout/masked_sequence.h"

#include <algorithm>

#include "kernels/common/partition.h"

namespace cpu {

void masked_sequence_forward(float* x, const float* guide, const float* cond, const float* tokens,
                             const std::uint8_t* mask, const float* mask_token, const float* pos,
                             const MaskedSequenceShape& shape) {
    const std::int64_t T = shape.length(), P = shape.prefix(), L = shape.L, D = shape.D, n = shape.n;
    for_each_task(shape.M * T, shape.M * T * D, [=](std::int64_t row) {
        const std::int64_t m = row / T, s = row % T;
        const float* source = guide + m * D;
        if (s >= P) {
            const std::int64_t token = m * L + s - P;
            source = mask[token] ? mask_token : tokens + token * D;
        } else if (s >= P - n) {
            source = cond + (m * n + P - 1 - s) * D;
        }
        const float* position = pos + s * D;
        float* out = x + row * D;
#pragma omp simd
        for (std::int64_t i = 0; i < D; ++i) out[i] = source[i] + position[i];
    });
}

void masked_sequence_backward(float* dguide, float* dcond, float* dtokens, float* dmask_token, float* dpos,
                              float* workspace, const float* dx, const std::uint8_t* mask,
                              const MaskedSequenceShape& shape) {
    const std::int64_t T = shape.length(), P = shape.prefix(), L = shape.L, D = shape.D, n = shape.n,
                       slices = row_slices(shape.M);
    float* position_parts = workspace;
    float* mask_parts = workspace + slices * T * D;
    for_each_task(slices * T, shape.M * T * D, [=](std::int64_t task) {
        const std::int64_t s = task % T;
        const auto [begin, end] = row_slice(shape.M, slices, task / T);
        float* position_sum = position_parts + task * D;
        float* mask_sum = mask_parts + task * D;
        std::fill(position_sum, position_sum + D, 0.0f);
        std::fill(mask_sum, mask_sum + D, 0.0f);
        for (std::int64_t m = begin; m < end; ++m) {
            const float* gradient = dx + (m * T + s) * D;
#pragma omp simd
            for (std::int64_t i = 0; i < D; ++i) position_sum[i] += gradient[i];
            if (s < P) {
                float* out = s >= P - n ? dcond + (m * n + P - 1 - s) * D : dguide + m * D;
                std::copy(gradient, gradient + D, out);
            } else if (mask[m * L + s - P]) {
                std::fill_n(dtokens + (m * L + s - P) * D, D, 0.0f);
#pragma omp simd
                for (std::int64_t i = 0; i < D; ++i) mask_sum[i] += gradient[i];
            } else {
                std::copy(gradient, gradient + D, dtokens + (m * L + s - P) * D);
            }
        }
    });
    add_slices(dpos, position_parts, T * D, slices, T * D);
    add_slices(dmask_token, mask_parts, D, slices * T, D);
}

std::int64_t masked_sequence_backward_workspace(const MaskedSequenceShape& shape) {
    return 2 * row_slices(shape.M) * shape.length() * shape.D;
}

}  // namespace cpu
