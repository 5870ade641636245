// Sums of single numbers are total.h's; sums of columns go over row slices, several rows at a time.
#include "kernels/linear/reduce.h"

#include "kernels/common/partition.h"
#include "kernels/common/total.h"

namespace cpu {

void sum_accumulate(double* total, const float* values, std::int64_t count, double weight) {
    double partials[max_scalar_slices];
    *total +=
        weight * total_of(partials, count, [=](std::int64_t i) { return static_cast<double>(values[i]); });
}

void squared_norm_accumulate(double* total, double* workspace, const float* x, std::int64_t count) {
    *total += total_of(workspace, count, [=](std::int64_t i) {
        const auto value = static_cast<double>(x[i]);
        return value * value;
    });
}

std::int64_t squared_norm_workspace() {
    return max_scalar_slices;
}

// sums [width] += eight rows of x at once: the sums are loaded and stored an eighth as often.
static void add_eight_rows(float* sums, const float* x, std::int64_t x_stride, std::int64_t width) {
    const float *x0 = x, *x1 = x0 + x_stride, *x2 = x1 + x_stride, *x3 = x2 + x_stride;
    const float *x4 = x3 + x_stride, *x5 = x4 + x_stride, *x6 = x5 + x_stride, *x7 = x6 + x_stride;
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i)
        sums[i] += ((x0[i] + x1[i]) + (x2[i] + x3[i])) + ((x4[i] + x5[i]) + (x6[i] + x7[i]));
}

void column_sum_accumulate(float* sums, float* workspace, const float* x, std::int64_t x_stride,
                           std::int64_t rows, std::int64_t width) {
    const std::int64_t slices = row_slices(rows);
    for_each_task(slices, rows * width, [=](std::int64_t slice) {
        float* part = workspace + slice * width;
        std::fill(part, part + width, 0.0f);
        auto [row, end] = row_slice(rows, slices, slice);
        for (; row + 8 <= end; row += 8) add_eight_rows(part, x + row * x_stride, x_stride, width);
        for (; row < end; ++row) {
            const float* last = x + row * x_stride;
#pragma omp simd
            for (std::int64_t i = 0; i < width; ++i) part[i] += last[i];
        }
    });
    add_slices(sums, workspace, width, slices, width);
}

std::int64_t column_sum_workspace(std::int64_t width) {
    return max_row_slices * width;
}

}  // namespace cpu
