// Limited by memory alone.
#include "kernels/loss/adaptive_weight.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/partition.h"

namespace cpu {

void adaptive_weight(float* weight, const double* squared_norms, float factor) {
    const double ratio = std::sqrt(squared_norms[0]) / (std::sqrt(squared_norms[1]) + 1e-4);
    *weight = static_cast<float>(std::min(static_cast<double>(factor) * ratio, 1e4));
}

void add_weighted(float* y, const float* x, const float* weight, std::int64_t count) {
    for_each_block(count, [=, w = *weight](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) y[i] += w * x[i];
    });
}

}  // namespace cpu
