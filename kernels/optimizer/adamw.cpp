// One pass over the four arrays; clipping happens on the fly, so gradients are not written back scaled. The
// two corrections are folded into the step and the root's argument: one division and one root per element.
//
// The root is a Newton iteration because std::sqrt may set errno, which keeps a loop scalar; it costs about
// as much as the vector instruction.
#include "kernels/optimizer/adamw.h"

#include <bit>
#include <cmath>

#include "kernels/common/partition.h"

namespace cpu {

// sqrt(v) for v >= 0, relative error below 3e-7 (0 gives 0). The first guess of 1 / sqrt(v) halves the
// exponent and is off by at most 3.5%; each Newton step squares the error.
static float square_root(float v) {
    float inverse = std::bit_cast<float>(0x5F3759DF - (std::bit_cast<std::int32_t>(v) >> 1));
    const float half = 0.5f * v;
    inverse *= 1.5f - half * inverse * inverse;
    inverse *= 1.5f - half * inverse * inverse;
    inverse *= 1.5f - half * inverse * inverse;
    return v * inverse;
}

static float clip_factor(const AdamW& adamw) {
    if (adamw.max_norm == 0) return 1;
    const double factor = adamw.max_norm / (std::sqrt(*adamw.squared_norm) + 1e-6);
    return factor > 1 ? 1.0f : static_cast<float>(factor);
}

void adamw_update(float* parameter, bf16* rounded, float* exp_avg, float* exp_avg_sq, const float* gradient,
                  std::int64_t count, const AdamW& adamw) {
    const float clip = clip_factor(adamw), keep = 1.0f - adamw.learning_rate * adamw.weight_decay;
    const float beta1 = adamw.beta1, beta2 = adamw.beta2, epsilon = adamw.epsilon;
    const float step = adamw.learning_rate / adamw.correction1, inverse2 = 1.0f / adamw.correction2;
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) {
            const float g = clip * gradient[i];
            const float m = beta1 * exp_avg[i] + (1.0f - beta1) * g;
            const float v = beta2 * exp_avg_sq[i] + (1.0f - beta2) * g * g;
            exp_avg[i] = m;
            exp_avg_sq[i] = v;
            parameter[i] = keep * parameter[i] - step * m / (square_root(v * inverse2) + epsilon);
        }
        if (rounded != nullptr)
            for (std::int64_t i = begin; i < end; ++i) rounded[i] = nearest_bf16(parameter[i]);
    });
}

void ema_update(float* average, const float* parameter, std::int64_t count, float decay) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i)
            average[i] = decay * average[i] + (1.0f - decay) * parameter[i];
    });
}

}  // namespace cpu
