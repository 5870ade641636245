// Divisions are kept instead of multiplying by reciprocals: the same bits as the published pipeline are worth
// more than the time, which vanishes next to a training step.
#include "kernels/layout/pixels.h"

#include <cmath>

#include "kernels/common/partition.h"

namespace cpu {

void normalize_pixels(float* y, const std::uint8_t* x, const float* mean, const float* deviation,
                      std::int64_t N, std::int64_t C, std::int64_t plane) {
    for_each_task(N * C, N * C * plane, [=](std::int64_t row) {
        const float m = mean[row % C], d = deviation[row % C];
        const std::uint8_t* in = x + row * plane;
        float* out = y + row * plane;
#pragma omp simd
        for (std::int64_t i = 0; i < plane; ++i) out[i] = (static_cast<float>(in[i]) / 255.0f - m) / d;
    });
}

// The product must be rounded before the sum; the compiler would otherwise contract the two into one fused
// operation, which rounds some halves the other way.
static std::int32_t pixel_value(float y, float mean, float deviation) {
    volatile float product = y * deviation;
    const float scaled = (product + mean) * 255.0f;
    if (!(scaled > 0.0f)) return 0;
    return scaled < 255.0f ? static_cast<std::int32_t>(std::nearbyint(scaled)) : 255;
}

void pixel_values(std::int32_t* values, const float* normalized, const float* mean, const float* deviation,
                  std::int64_t N, std::int64_t C) {
    for_each_task(N, N * C, [=](std::int64_t n) {
        for (std::int64_t c = 0; c < C; ++c)
            values[n * C + c] = pixel_value(normalized[n * C + c], mean[c], deviation[c]);
    });
}

void normalize_values(float* y, const std::int32_t* values, const float* mean, const float* deviation,
                      const std::int32_t* rows, std::int64_t N, std::int64_t C) {
    for_each_task(N, N * C, [=](std::int64_t n) {
        const std::int64_t row = rows == nullptr ? n : rows[n];
        for (std::int64_t c = 0; c < C; ++c)
            y[row * C + c] = normalized_value(values[n * C + c], mean[c], deviation[c]);
    });
}

void mean_pixels(float* y, const float* images, std::int64_t M, std::int64_t C, std::int64_t size) {
    for_each_task(M * C, M * C * size * size, [=](std::int64_t plane) {
        const auto count = static_cast<float>(size);
        float total = 0;
        for (std::int64_t row = 0; row < size; ++row) {
            const float* pixels = images + (plane * size + row) * size;
            float sum = 0;
            for (std::int64_t column = 0; column < size; ++column) sum += pixels[column];
            total += sum / count;
        }
        y[plane] = total / count;
    });
}

}  // namespace cpu
