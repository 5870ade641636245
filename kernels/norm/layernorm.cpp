// A row (64 to 1,536 floats) fits into the first-level cache, so each row is read from memory once and passed
// over two or three times from there. That buys the two-pass variance, which does not cancel where the mean
// is large; the one-pass form E[x^2] - E[x]^2 would save a pass of negligible cost beside the memory traffic.
//
// The backward pass makes dx, dweight and dbias of a row in one go, so dy and x are not read a second time
// for the parameters. The sums over rows grow in a slice's part of the workspace, which stays in cache too (2
// * width).
#include "kernels/norm/layernorm.h"

#include <cmath>

#include "kernels/common/partition.h"

namespace cpu {

static void normalize_row(float* y, float& mean, float& rstd, const float* x, const float* weight,
                          const float* bias, std::int64_t width, float eps) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < width; ++i) sum += x[i];
    const float m = sum / static_cast<float>(width);
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t i = 0; i < width; ++i) squares += (x[i] - m) * (x[i] - m);
    const float r = 1.0f / std::sqrt(squares / static_cast<float>(width) + eps);
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) y[i] = (x[i] - m) * r * weight[i] + bias[i];
    mean = m;
    rstd = r;
}

void layernorm_forward(float* y, float* mean, float* rstd, const float* x, const float* weight,
                       const float* bias, std::int64_t rows, std::int64_t width, float eps) {
    for_each_task(rows, rows * width, [=](std::int64_t row) {
        normalize_row(y + row * width, mean[row], rstd[row], x + row * width, weight, bias, width, eps);
    });
}

void residual_layernorm_forward(float* out, float* y, float* mean, float* rstd, const float* x,
                                const float* branch, const float* weight, const float* bias,
                                std::int64_t rows, std::int64_t width, float eps) {
    for_each_task(rows, rows * width, [=](std::int64_t row) {
        float* sum = out + row * width;
        const float *a = x + row * width, *b = branch + row * width;
#pragma omp simd
        for (std::int64_t i = 0; i < width; ++i) sum[i] = a[i] + b[i];
        normalize_row(y + row * width, mean[row], rstd[row], sum, weight, bias, width, eps);
    });
}

template <bool accumulate>
static void backward_row(float* dx, float* dweight, float* dbias, const float* dy, const float* x,
                         const float* weight, float mean, float rstd, std::int64_t width) {
    float sum_g = 0, sum_gn = 0;
#pragma omp simd reduction(+ : sum_g, sum_gn)
    for (std::int64_t i = 0; i < width; ++i) {
        const float normalized = (x[i] - mean) * rstd, g = dy[i] * weight[i];
        sum_g += g;
        sum_gn += g * normalized;
        dweight[i] += dy[i] * normalized;
        dbias[i] += dy[i];
    }
    const float mean_g = sum_g / static_cast<float>(width), mean_gn = sum_gn / static_cast<float>(width);
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
        const float normalized = (x[i] - mean) * rstd;
        const float d = rstd * (dy[i] * weight[i] - mean_g - normalized * mean_gn);
        dx[i] = accumulate ? dx[i] + d : d;
    }
}

template <bool accumulate>
static void backward(float* dx, float* dweight, float* dbias, float* workspace, const float* dy,
                     const float* x, const float* weight, const float* mean, const float* rstd,
                     std::int64_t rows, std::int64_t width) {
    const std::int64_t slices = row_slices(rows), stride = 2 * width;
    for_each_task(slices, rows * width, [=](std::int64_t slice) {
        float* part = workspace + slice * stride;
        std::fill(part, part + stride, 0.0f);
        const auto [begin, end] = row_slice(rows, slices, slice);
        for (std::int64_t row = begin; row < end; ++row)
            backward_row<accumulate>(dx + row * width, part, part + width, dy + row * width, x + row * width,
                                     weight, mean[row], rstd[row], width);
    });
    add_slices(dweight, workspace, stride, slices, width);
    add_slices(dbias, workspace + width, stride, slices, width);
}

void layernorm_backward(float* dx, float* dweight, float* dbias, float* workspace, const float* dy,
                        const float* x, const float* weight, const float* mean, const float* rstd,
                        std::int64_t rows, std::int64_t width) {
    backward<false>(dx, dweight, dbias, workspace, dy, x, weight, mean, rstd, rows, width);
}

void layernorm_backward_accumulate(float* dx, float* dweight, float* dbias, float* workspace, const float* dy,
                                   const float* x, const float* weight, const float* mean, const float* rstd,
                                   std::int64_t rows, std::int64_t width) {
    backward<true>(dx, dweight, dbias, workspace, dy, x, weight, mean, rstd, rows, width);
}

std::int64_t layernorm_backward_workspace(std::int64_t width) {
    return max_row_slices * 2 * width;
}

}  // namespace cpu
