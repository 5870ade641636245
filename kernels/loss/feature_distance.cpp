// Limited by memory: a row is at most a few hundred channels, so its later passes find it in the cache.
#include "kernels/loss/feature_distance.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/partition.h"
#include "kernels/common/total.h"

namespace cpu {
namespace {

constexpr float epsilon = 1e-10f;

float squared_norm(const float* x, std::int64_t width) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < width; ++c) sum += x[c] * x[c];
    return sum;
}

float inverse_norm(const float* x, std::int64_t width) {
    return 1 / (std::sqrt(squared_norm(x, width)) + epsilon);
}

float row_distance(const float* a, const float* b, const float* weight, std::int64_t width) {
    const float by_a = inverse_norm(a, width), by_b = inverse_norm(b, width);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < width; ++c) {
        const float difference = a[c] * by_a - b[c] * by_b;
        sum += weight[c] * difference * difference;
    }
    return sum;
}

void row_backward(float* da, const float* a, const float* b, const float* weight, float scale,
                  std::int64_t width) {
    const float norm = std::sqrt(squared_norm(a, width)), by_b = inverse_norm(b, width);
    if (norm == 0) {
        std::fill_n(da, width, 0.0f);
        return;
    }
    const float by_a = 1 / (norm + epsilon);
    float along = 0;  // sum_k g_k a_k
#pragma omp simd reduction(+ : along)
    for (std::int64_t c = 0; c < width; ++c) {
        da[c] = 2 * scale * weight[c] * (a[c] * by_a - b[c] * by_b);
        along += da[c] * a[c];
    }
    along *= by_a / norm;
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) da[c] = (da[c] - a[c] * along) * by_a;
}

}  // namespace

void feature_distance_accumulate(double* total, double* workspace, const float* a, const float* b,
                                 const float* weight, double factor, std::int64_t rows, std::int64_t width) {
    const std::int64_t slices = std::clamp(rows * width / block_elements, std::int64_t{1}, max_scalar_slices);
    for_each_task(slices, rows * width, [=](std::int64_t slice) {
        const auto [begin, end] = row_slice(rows, slices, slice);
        double sum = 0;
        for (std::int64_t row = begin; row < end; ++row)
            sum += static_cast<double>(row_distance(a + row * width, b + row * width, weight, width));
        workspace[slice] = sum;
    });
    double sum = 0;
    for (std::int64_t slice = 0; slice < slices; ++slice) sum += workspace[slice];
    *total += factor * sum;
}
std::int64_t feature_distance_workspace() {
    return max_scalar_slices;
}

void feature_distance_backward(float* da, const float* a, const float* b, const float* weight, float scale,
                               std::int64_t rows, std::int64_t width) {
    for_each_task(rows, rows * width, [=](std::int64_t row) {
        const std::int64_t first = row * width;
        row_backward(da + first, a + first, b + first, weight, scale, width);
    });
}

}  // namespace cpu
