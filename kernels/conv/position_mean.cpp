// Bound by memory. A task is an image.
#include "kernels/conv/position_mean.h"

#include <algorithm>

#include "kernels/common/partition.h"

namespace cpu {

void position_mean_forward(float* y, const float* x, std::int64_t B, std::int64_t P, std::int64_t C) {
    const float factor = 1.0f / static_cast<float>(P);
    for_each_task(B, B * P * C, [=](std::int64_t b) {
        float* const to = y + b * C;
        std::fill_n(to, C, 0.0f);
        for (std::int64_t p = 0; p < P; ++p) {
            const float* const from = x + (b * P + p) * C;
#pragma omp simd
            for (std::int64_t c = 0; c < C; ++c) to[c] += from[c];
        }
#pragma omp simd
        for (std::int64_t c = 0; c < C; ++c) to[c] *= factor;
    });
}

void position_mean_backward(float* dx, const float* dy, std::int64_t B, std::int64_t P, std::int64_t C) {
    const float factor = 1.0f / static_cast<float>(P);
    for_each_task(B, B * P * C, [=](std::int64_t b) {
        const float* const from = dy + b * C;
        for (std::int64_t p = 0; p < P; ++p) {
            float* const to = dx + (b * P + p) * C;
#pragma omp simd
            for (std::int64_t c = 0; c < C; ++c) to[c] = from[c] * factor;
        }
    });
}

}  // namespace cpu
