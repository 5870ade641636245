// Transposing 16 x 16 floats in registers. Attention and products of layers turn small matrices with it that
// lie in L1 or L2: about 0.2 ns a float.
#pragma once

#include <cstdint>

#include "kernels/common/vector.h"

namespace cpu {

// target[c * target_stride + r] = row_start[r][c] for 16 rows and 16 columns: 64 shuffles for 256 floats.
inline void transpose_16x16(float* target, std::int64_t target_stride, const float* const* row_start) {
    Vector a[lanes], b[lanes];
    for (int r = 0; r < lanes; ++r) load(a[r], row_start[r]);
    for (int r = 0; r < lanes; r += 2) {
        b[r] =
            __builtin_shufflevector(a[r], a[r + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
        b[r + 1] = __builtin_shufflevector(a[r], a[r + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30,
                                           15, 31);
    }
    for (int r = 0; r < lanes; r += 4) {
        for (int k = 0; k < 2; ++k) {
            const Vector &x = b[r + k], &y = b[r + k + 2];
            a[r + 2 * k] =
                __builtin_shufflevector(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
            a[r + 2 * k + 1] =
                __builtin_shufflevector(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
        }
    }
    // Now quarter q of a[4 g + c] holds rows 4 g .. 4 g + 3 of column 4 q + c: transpose the 4 x 4 quarters.
    for (int g = 0; g < 4; g += 2) {
        for (int c = 0; c < 4; ++c) {
            const Vector &x = a[4 * g + c], &y = a[4 * g + 4 + c];
            b[4 * g + c] =
                __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
            b[4 * g + 4 + c] =
                __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
        }
    }
    for (int odd = 0; odd < 2; ++odd) {
        for (int c = 0; c < 4; ++c) {
            const Vector &x = b[4 * odd + c], &y = b[4 * odd + 8 + c];
            const Vector even_quarters =
                __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
            const Vector odd_quarters =
                __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
            store(target + (4 * odd + c) * target_stride, even_quarters);
            store(target + (4 * odd + 8 + c) * target_stride, odd_quarters);
        }
    }
}

}  // namespace cpu
