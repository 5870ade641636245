// With simd.h's exp and erf the loops are vector code through and through; libm's erff would keep them
// scalar. e^(-x^2/2) is computed once: erf needs it, and in the backward pass it is also the density phi.
#include "kernels/gelu.h"

#include <numbers>

#include "kernels/partition.h"
#include "kernels/simd.h"

namespace cpu {

constexpr float inverse_sqrt2 = 1.0f / std::numbers::sqrt2_v<float>;
constexpr float inverse_sqrt_2pi = inverse_sqrt2 * std::numbers::inv_sqrtpi_v<float>;

void gelu_forward(float* y, const float* x, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) {
            const float gauss = fast_exp(-0.5f * x[i] * x[i]);
            y[i] = 0.5f * x[i] * (1.0f + fast_erf(x[i] * inverse_sqrt2, gauss));
        }
    });
}

void gelu_backward(float* dx, const float* dy, const float* x, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) {
            const float gauss = fast_exp(-0.5f * x[i] * x[i]);
            const float distribution = 0.5f * (1.0f + fast_erf(x[i] * inverse_sqrt2, gauss));
            dx[i] = dy[i] * (distribution + x[i] * gauss * inverse_sqrt_2pi);
        }
    });
}

}  // namespace cpu
