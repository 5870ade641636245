// Bound by memory; in place, its data are still in cache from the preceding operation.
#include "kernels/pointwise/leaky_relu.h"

#include "kernels/common/partition.h"

namespace cpu {

void leaky_relu_forward(float* y, const float* x, float slope, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) y[i] = x[i] > 0 ? x[i] : slope * x[i];
    });
}

void leaky_relu_backward(float* dx, const float* dy, const float* y, float slope, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) dx[i] = y[i] > 0 ? dy[i] : slope * dy[i];
    });
}

}  // namespace cpu
