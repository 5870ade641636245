// Bound by memory. Two functions do all four: the sum of the four positions under one, and a position's copy
// to the four under it, each times a factor. A task is a row of positions of the smaller map, which is one
// piece of memory, and its two rows of the larger one.
#include "kernels/conv/resample.h"

#include "kernels/common/partition.h"

namespace cpu {

static void shrink(float* small, const float* large, float factor, const ResampleShape& shape) {
    const std::int64_t W = shape.W, C = shape.C;
    for_each_task(shape.B * shape.H, shape.B * shape.H * W * C * 4, [=](std::int64_t row) {
        for (std::int64_t j = 0; j < W; ++j) {
            float* to = small + (row * W + j) * C;
            const float *above = large + (row * 4 * W + 2 * j) * C, *below = above + 2 * W * C;
#pragma omp simd
            for (std::int64_t c = 0; c < C; ++c)
                to[c] = ((above[c] + above[C + c]) + (below[c] + below[C + c])) * factor;
        }
    });
}

static void enlarge(float* large, const float* small, float factor, const ResampleShape& shape) {
    const std::int64_t W = shape.W, C = shape.C;
    for_each_task(shape.B * shape.H, shape.B * shape.H * W * C * 4, [=](std::int64_t row) {
        for (std::int64_t j = 0; j < W; ++j) {
            const float* from = small + (row * W + j) * C;
            float *above = large + (row * 4 * W + 2 * j) * C, *below = above + 2 * W * C;
#pragma omp simd
            for (std::int64_t c = 0; c < C; ++c) {
                const float value = from[c] * factor;
                above[c] = value;
                above[C + c] = value;
                below[c] = value;
                below[C + c] = value;
            }
        }
    });
}

void average_pool_forward(float* y, const float* x, const ResampleShape& shape) {
    shrink(y, x, 0.25f, shape);
}
void average_pool_backward(float* dx, const float* dy, const ResampleShape& shape) {
    enlarge(dx, dy, 0.25f, shape);
}
void upsample_forward(float* y, const float* x, const ResampleShape& shape) {
    enlarge(y, x, 1.0f, shape);
}
void upsample_backward(float* dx, const float* dy, const ResampleShape& shape) {
    shrink(dx, dy, 1.0f, shape);
}

}  // namespace cpu
