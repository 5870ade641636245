// One pass; the backward pass computes the sigmoid again, which costs less than reading it.
#include "kernels/pointwise/quick_gelu.h"

#include "kernels/common/partition.h"
#include "kernels/common/simd.h"

namespace cpu {
namespace {

constexpr float steepness = 1.702f;

}  // namespace

void quick_gelu_forward(float* y, const float* x, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) y[i] = x[i] / (1.0f + fast_exp(-steepness * x[i]));
    });
}

void quick_gelu_backward(float* dx, const float* dy, const float* x, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) {
            const float z = steepness * x[i], sigmoid = 1.0f / (1.0f + fast_exp(-z));
            dx[i] = dy[i] * sigmoid * (1.0f + z * (1.0f - sigmoid));
        }
    });
}

}  // namespace cpu
