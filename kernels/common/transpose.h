// Transposing 16 x 16 floats in registers. Attention and products of layers turn small matrices with it that
// lie in L1 or L2.
#pragma once

#include <cstdint>

#include "kernels/common/vector.h"

namespace cpu {

// The square of register_lanes rows in registers: bit by bit, rows and lanes that differ in it are exchanged.
template <int Bit = register_lanes / 2>
void transpose_registers(Register (&rows)[register_lanes]) {
#pragma GCC unroll 16
    for (int r = 0; r < register_lanes; ++r)
        if ((r & Bit) == 0) exchange<Bit>(rows[r], rows[r | Bit]);
    if constexpr (Bit > 1) transpose_registers<Bit / 2>(rows);
}

// target[c * target_stride + r] = row_start[r][c] for 16 rows and 16 columns: with AVX-512 64 shuffles for 256
// floats.
inline void transpose_16x16(float* target, std::int64_t target_stride, const float* const* row_start) {
    for (int row = 0; row < lanes; row += register_lanes)
        for (int column = 0; column < lanes; column += register_lanes) {
            Register square[register_lanes];
            for (int r = 0; r < register_lanes; ++r) square[r] = load_register(row_start[row + r] + column);
            transpose_registers(square);
            for (int c = 0; c < register_lanes; ++c)
                store_register(target + (column + c) * target_stride + row, square[c]);
        }
}

}  // namespace cpu
