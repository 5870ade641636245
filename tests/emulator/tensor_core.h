// Matrix products and loads by all lanes of a warp. Fragments as in kernels/common/ptx.cuh.
#pragma once

#include <cstdint>

#include "tests/emulator/scheduler.h"

namespace emulator {

// One lane's part of mma.m16n8k16.
struct MatrixProduct {
    std::uint32_t a[4], b[2];
    float d[4];
};
// D += A B over the warp; sums ascending in k, cut off as truncated_sum.h says.
void multiply(MatrixProduct& mine, const Where& where);

// ldmatrix: `count` registers from the rows that the lanes pass.
void load_matrices(std::uint32_t* registers, int count, const std::uint16_t (&row)[8], bool transposed,
                   const Where& where);

// Fails unless `address` is a multiple of 16.
[[noreturn]] void fail_unaligned(const char* what);
inline void require_aligned(const void* address, const char* what) {
    if (reinterpret_cast<std::uintptr_t>(address) % 16 != 0) fail_unaligned(what);
}

}  // namespace emulator
