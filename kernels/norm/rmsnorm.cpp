// Structured like layernorm.cpp: a row is read from memory once and passed over twice in cache, and the
// backward pass adds to dweight's slice while the row is in cache instead of reading dy and x a second time.
#include "kernels/norm/rmsnorm.h"

#include <cmath>

#include "kernels/common/partition.h"

namespace cpu {

static void normalize_row(float* y, float& rstd, const float* x, const float* weight, std::int64_t width,
                          float eps) {
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t i = 0; i < width; ++i) squares += x[i] * x[i];
    const float r = 1.0f / std::sqrt(squares / static_cast<float>(width) + eps);
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) y[i] = x[i] * r * weight[i];
    rstd = r;
}

void rmsnorm_forward(float* y, float* rstd, const float* x, const float* weight, std::int64_t rows,
                     std::int64_t width, float eps) {
    for_each_task(rows, rows * width, [=](std::int64_t row) {
        normalize_row(y + row * width, rstd[row], x + row * width, weight, width, eps);
    });
}

void residual_rmsnorm_forward(float* out, float* y, float* rstd, const float* x, const float* branch,
                              const float* weight, std::int64_t rows, std::int64_t width, float eps) {
    for_each_task(rows, rows * width, [=](std::int64_t row) {
        float* sum = out + row * width;
        const float *a = x + row * width, *b = branch + row * width;
#pragma omp simd
        for (std::int64_t i = 0; i < width; ++i) sum[i] = a[i] + b[i];
        normalize_row(y + row * width, rstd[row], sum, weight, width, eps);
    });
}

template <bool accumulate>
static void backward_row(float* dx, float* dweight, const float* dy, const float* x, const float* weight,
                         float rstd, std::int64_t width) {
    float sum_gx = 0;
#pragma omp simd reduction(+ : sum_gx)
    for (std::int64_t i = 0; i < width; ++i) {
        sum_gx += dy[i] * weight[i] * x[i];
        dweight[i] += dy[i] * (x[i] * rstd);
    }
    const float pull = rstd * rstd * rstd * sum_gx / static_cast<float>(width);
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
        const float d = rstd * dy[i] * weight[i] - x[i] * pull;
        dx[i] = accumulate ? dx[i] + d : d;
    }
}

template <bool accumulate>
static void backward(float* dx, float* dweight, float* workspace, const float* dy, const float* x,
                     const float* weight, const float* rstd, std::int64_t rows, std::int64_t width) {
    const std::int64_t slices = row_slices(rows);
    for_each_task(slices, rows * width, [=](std::int64_t slice) {
        float* part = workspace + slice * width;
        std::fill(part, part + width, 0.0f);
        const auto [begin, end] = row_slice(rows, slices, slice);
        for (std::int64_t row = begin; row < end; ++row)
            backward_row<accumulate>(dx + row * width, part, dy + row * width, x + row * width, weight,
                                     rstd[row], width);
    });
    add_slices(dweight, workspace, width, slices, width);
}

void rmsnorm_backward(float* dx, float* dweight, float* workspace, const float* dy, const float* x,
                      const float* weight, const float* rstd, std::int64_t rows, std::int64_t width) {
    backward<false>(dx, dweight, workspace, dy, x, weight, rstd, rows, width);
}

void rmsnorm_backward_accumulate(float* dx, float* dweight, float* workspace, const float* dy, const float* x,
                                 const float* weight, const float* rstd, std::int64_t rows,
                                 std::int64_t width) {
    backward<true>(dx, dweight, workspace, dy, x, weight, rstd, rows, width);
}

std::int64_t rmsnorm_backward_workspace(std::int64_t width) {
    return max_row_slices * width;
}

}  // namespace cpu
