// A pass over the vectors; a row of the codebook lies in the cache as often as its code comes up.
#include "kernels/layout/quantise.h"

#include "kernels/common/partition.h"

namespace cpu {

void quantise_forward(float* y, float* squares, const float* z, const float* codebook,
                      const std::int32_t* codes, std::int64_t M, std::int64_t C) {
    for_each_task(M, M * C, [=](std::int64_t m) {
        const float *q = codebook + codes[m] * C, *from = z + m * C;
        float* to = y + m * C;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (std::int64_t c = 0; c < C; ++c) {
            const float d = q[c] - from[c];
            sum += d * d;
            to[c] = from[c] + d;
        }
        squares[m] = sum;
    });
}

void quantise_backward(float* dz, float* d_rows, const float* dy, const float* z, const float* codebook,
                       const std::int32_t* codes, float z_scale, float codebook_scale, std::int64_t M,
                       std::int64_t C) {
    for_each_task(M, M * C, [=](std::int64_t m) {
        const float *q = codebook + codes[m] * C, *from = z + m * C;
        float *to = dz + m * C, *row = d_rows + m * C;
        if (dy == nullptr) {
#pragma omp simd
            for (std::int64_t c = 0; c < C; ++c) to[c] = z_scale * (from[c] - q[c]);
        } else {
            const float* passed = dy + m * C;
#pragma omp simd
            for (std::int64_t c = 0; c < C; ++c) to[c] = passed[c] + z_scale * (from[c] - q[c]);
        }
#pragma omp simd
        for (std::int64_t c = 0; c < C; ++c) row[c] = codebook_scale * (q[c] - from[c]);
    });
}

}  // namespace cpu
