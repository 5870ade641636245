// Limited by memory alone.
#include "kernels/loss/l1_loss.h"

#include <cmath>

#include "kernels/common/total.h"

namespace cpu {

void l1_loss_accumulate(double* total, double* workspace, const float* x, const float* target,
                        std::int64_t count) {
    *total += total_of(workspace, count,
                       [=](std::int64_t i) { return static_cast<double>(std::abs(x[i] - target[i])); });
}
std::int64_t l1_loss_workspace() {
    return max_scalar_slices;
}

void l1_loss_backward(float* dx, const float* x, const float* target, float scale, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i)
            dx[i] = x[i] > target[i] ? scale : x[i] < target[i] ? -scale : 0.0f;
    });
}

}  // namespace cpu
