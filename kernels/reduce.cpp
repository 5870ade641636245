// Sums of single numbers go over at most 64 slices: enough for the threads of any
// machine this runs on, few enough that adding them up is nothing. Converting to double halves the width of
// the vectors, but the loops still outrun memory.
#include "kernels/reduce.h"

#include "kernels/partition.h"

namespace cpu {

constexpr std::int64_t max_scalar_slices = 64;

// Adds term(value) in double over values [count]. 32 running sums side by side hide the latency of the
// addition.
template <class Term>
static double slice_sum(const float* values, std::int64_t count, Term term) {
    constexpr std::int64_t lanes = 32;
    double sums[lanes] = {};
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
#pragma omp simd
        for (std::int64_t lane = 0; lane < lanes; ++lane)
            sums[lane] += term(static_cast<double>(values[i + lane]));
    }
    for (std::int64_t lane = 0; i < count; ++i, ++lane) sums[lane] += term(static_cast<double>(values[i]));
    double total = 0;
    for (const double sum : sums) total += sum;
    return total;
}

template <class Term>
static double sum_of(double* partials, const float* values, std::int64_t count, Term term) {
    const std::int64_t slices = std::clamp(count / block_elements, std::int64_t{1}, max_scalar_slices);
    for_each_task(slices, count, [=](std::int64_t slice) {
        const auto [begin, end] = row_slice(count, slices, slice);
        partials[slice] = slice_sum(values + begin, end - begin, term);
    });
    double total = 0;
    for (std::int64_t slice = 0; slice < slices; ++slice) total += partials[slice];
    return total;
}

void sum_accumulate(double* total, const float* values, std::int64_t count, double weight) {
    double partials[max_scalar_slices];
    *total += weight * sum_of(partials, values, count, [](double value) { return value; });
}

void squared_norm_accumulate(double* total, double* workspace, const float* x, std::int64_t count) {
    *total += sum_of(workspace, x, count, [](double value) { return value * value; });
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
