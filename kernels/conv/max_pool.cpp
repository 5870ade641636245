// Bound by memory. A task is a row of 2 x 2 cells: two rows of x and one of y.
#include "kernels/conv/max_pool.h"

#include <algorithm>

#include "kernels/common/partition.h"

namespace cpu {
namespace {

// Elements `C` of the four positions of a cell: the two of the upper row follow each other, `below` is the
// lower row. dx likewise.
void cell_backward(float* dx_above, float* dx_below, const float* dy, const float* above, const float* below,
                   std::int64_t C) {
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) {
        const float a = above[c], b = above[C + c], d = below[c], e = below[C + c];
        const bool right = b > a, lower_right = e > d;
        const float upper = right ? b : a, lower = lower_right ? e : d;
        const bool lower_wins = lower > upper;
        const float up = lower_wins ? 0 : dy[c], down = lower_wins ? dy[c] : 0;
        dx_above[c] = right ? 0 : up;
        dx_above[C + c] = right ? up : 0;
        dx_below[c] = lower_right ? 0 : down;
        dx_below[C + c] = lower_right ? down : 0;
    }
}

}  // namespace

void max_pool_forward(float* y, const float* x, const MaxPoolShape& shape) {
    const std::int64_t H = shape.H, W = shape.W, C = shape.C, height = shape.out_height(),
                       width = shape.out_width();
    for_each_task(shape.B * height, shape.B * H * W * C, [=](std::int64_t row) {
        const float* const cells = x + (row / height * H + row % height * 2) * W * C;
        for (std::int64_t j = 0; j < width; ++j) {
            float* const to = y + (row * width + j) * C;
            const float *above = cells + 2 * j * C, *below = above + W * C;
#pragma omp simd
            for (std::int64_t c = 0; c < C; ++c)
                to[c] = std::max(std::max(above[c], above[C + c]), std::max(below[c], below[C + c]));
        }
    });
}

void max_pool_backward(float* dx, const float* dy, const float* x, const MaxPoolShape& shape) {
    const std::int64_t H = shape.H, W = shape.W, C = shape.C, height = shape.out_height(),
                       width = shape.out_width(), rows = (H + 1) / 2;
    for_each_task(shape.B * rows, shape.B * H * W * C, [=](std::int64_t task) {
        const std::int64_t image = task / rows, i = task % rows, first = (image * H + 2 * i) * W * C;
        if (i == height) {  // the odd last row
            std::fill_n(dx + first, W * C, 0.0f);
            return;
        }
        for (std::int64_t j = 0; j < width; ++j) {
            const std::int64_t above = first + 2 * j * C, below = above + W * C;
            cell_backward(dx + above, dx + below, dy + ((image * height + i) * width + j) * C, x + above,
                          x + below, C);
        }
        if (W % 2 == 0) return;
        std::fill_n(dx + first + (W - 1) * C, C, 0.0f);
        std::fill_n(dx + first + (2 * W - 1) * C, C, 0.0f);
    });
}

}  // namespace cpu
