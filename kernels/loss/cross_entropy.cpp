// A row of 256 logits is 1 KiB: three passes over it (maximum, exponentials and their sum, scaling) run in
// the first-level cache. The training form writes the exponentials over the logits, so the loss and its
// gradient need one exp per logit in total and no additional memory.
#include "kernels/loss/cross_entropy.h"

#include <cmath>
#include <limits>

#include "kernels/common/partition.h"
#include "kernels/common/simd.h"

namespace cpu {

static float row_maximum(const float* logits, std::int64_t vocabulary) {
    float maximum = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : maximum)
    for (std::int64_t v = 0; v < vocabulary; ++v) maximum = logits[v] > maximum ? logits[v] : maximum;
    return maximum;
}

// Label smoothing's term of the loss: smoothing times (the mean distance of all logits minus the target's).
static float smoothing_loss(const float* logits, std::int64_t vocabulary, float maximum, float distance,
                            float smoothing) {
    if (smoothing == 0) return 0;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t v = 0; v < vocabulary; ++v) sum += maximum - logits[v];
    return smoothing * (sum / static_cast<float>(vocabulary) - distance);
}

void cross_entropy_forward(float* losses, const float* logits, const std::int32_t* targets,
                           std::int64_t target_stride, std::int64_t rows, std::int64_t vocabulary,
                           float smoothing) {
    for_each_task(rows, rows * vocabulary, [=](std::int64_t row) {
        const float* z = logits + row * vocabulary;
        const float maximum = row_maximum(z, vocabulary);
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (std::int64_t v = 0; v < vocabulary; ++v) sum += fast_exp(z[v] - maximum);
        const float distance = maximum - z[targets[row * target_stride]];
        losses[row] = std::log(sum) + distance + smoothing_loss(z, vocabulary, maximum, distance, smoothing);
    });
}

void cross_entropy_forward_backward(float* losses, float* logits, const std::int32_t* targets,
                                    std::int64_t target_stride, std::int64_t rows, std::int64_t vocabulary,
                                    float scale, float smoothing) {
    for_each_task(rows, rows * vocabulary, [=](std::int64_t row) {
        float* z = logits + row * vocabulary;
        const std::int64_t target = targets[row * target_stride];
        const float maximum = row_maximum(z, vocabulary), distance = maximum - z[target],
                    more = smoothing_loss(z, vocabulary, maximum, distance, smoothing);
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (std::int64_t v = 0; v < vocabulary; ++v) {
            z[v] = fast_exp(z[v] - maximum);
            sum += z[v];
        }
        losses[row] = std::log(sum) + distance + more;
        const float factor = scale / sum, everywhere = scale * smoothing / static_cast<float>(vocabulary);
#pragma omp simd
        for (std::int64_t v = 0; v < vocabulary; ++v) z[v] = z[v] * factor - everywhere;
        z[target] -= scale * (1 - smoothing);
    });
}

}  // namespace cpu
