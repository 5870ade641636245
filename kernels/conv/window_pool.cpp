// Bound by memory. A task is a row of y; the rows of x that its windows share stay in cache.
#include "kernels/conv/window_pool.h"

#include <algorithm>

#include "kernels/common/partition.h"

namespace cpu {
namespace {

struct Range {
    std::int64_t begin, end;
    std::int64_t count() const { return end - begin; }
};

// The part of output `i`'s window that lies within a side of `size`.
Range window_of(std::int64_t i, std::int64_t size, const WindowPoolShape& s) {
    const std::int64_t first = i * s.stride - s.padding;
    return {std::max(first, std::int64_t{0}), std::min(first + s.window, size)};
}

// Copies the C elements of each window's first position to `to`, calls next(to, from) for every other position
// and then last(to, their number).
template <class Next, class Last>
void for_windows(float* y, const float* x, const WindowPoolShape& s, Next next, Last last) {
    const std::int64_t height = s.out_height(), width = s.out_width(), C = s.C;
    for_each_task(s.B * height, s.out_rows() * C * s.window, [=](std::int64_t row) {
        const float* const map = x + row / height * s.H * s.W * C;
        const Range rows = window_of(row % height, s.H, s);
        for (std::int64_t j = 0; j < width; ++j) {
            const Range columns = window_of(j, s.W, s);
            float* const to = y + (row * width + j) * C;
            std::copy_n(map + (rows.begin * s.W + columns.begin) * C, C, to);
            for (std::int64_t u = rows.begin; u < rows.end; ++u)
                for (std::int64_t v = columns.begin; v < columns.end; ++v)
                    if (u != rows.begin || v != columns.begin) next(to, map + (u * s.W + v) * C);
            last(to, rows.count() * columns.count());
        }
    });
}

}  // namespace

void window_max(float* y, const float* x, const WindowPoolShape& shape) {
    const std::int64_t C = shape.C;
    for_windows(
        y, x, shape,
        [=](float* to, const float* from) {
#pragma omp simd
            for (std::int64_t c = 0; c < C; ++c) to[c] = std::max(to[c], from[c]);
        },
        [](float*, std::int64_t) {});
}

void window_mean(float* y, const float* x, const WindowPoolShape& shape) {
    const std::int64_t C = shape.C;
    for_windows(
        y, x, shape,
        [=](float* to, const float* from) {
#pragma omp simd
            for (std::int64_t c = 0; c < C; ++c) to[c] += from[c];
        },
        [=](float* to, std::int64_t count) {
            const float factor = 1.0f / static_cast<float>(count);
#pragma omp simd
            for (std::int64_t c = 0; c < C; ++c) to[c] *= factor;
        });
}

}  // namespace cpu
