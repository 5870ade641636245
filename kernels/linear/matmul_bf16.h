// The products of matmul.h on the CPU with operands rounded to bf16 and sums in fp32.
//
//   forward          y  [rows, N] = x [rows, K] . W^T + b
//   backward, input  dx [rows, K] = dy [rows, N] . W
//   backward, weight dW [N, K]   += dy^T . x
//
// W is rounded and packed once per update, in both orders that the first two need; x and dy stay fp32 and are
// rounded as they are read. All three are C = A B with A [M, S] and B [S, columns] cut into tiles:
//
//   A  panels of 16 rows:     [S / 32][16 rows][32 of the sum]
//   B  panels of 32 columns:  [S / 32][16 pairs of the sum][32 columns][2]
//
// padded with zeros. AVX512-BF16 and AMX take pairs of the sum from neighbouring numbers, so both read
// the same panels; but dy's, of the weight's gradient, are [S / 32][16 pairs of the sum][16 rows][2] for
// AVX512-BF16, as they are read. AMX: a block of C, 32 x 32, lies in four tile registers; a step of 32
// numbers of the sum loads 4 KiB for 4 x 16 x 16 x 32 multiply-adds, 16 operations a byte, from the
// first-level cache. AVX512-BF16: 8 x 32 numbers of C lie in 16 vector registers; a step of 2 loads two
// vectors and eight pairs. From memory come 4 (rows K + rows N) bytes and, for every 128 rows, 2 N K of
// packed weights: at width 256 rounded operands halve only the weights' share, so the gain is the unit's
// rate.
//
// Peak of a core, in operations a cycle: 64 in fp32 (AVX-512), 128 by AVX512-BF16, 2,048 by AMX. Reached on
// one core of a Xeon with AMX and of an EPYC at 2,048 rows: tests/bench/README.md.
//
// Source: Intel, "Intrinsics for bfloat16 and AMX" (Intel Architecture Instruction Set Extensions and Future
// Features, chapters 2 and 3).
#pragma once

#include <cstdint>

#include "kernels/common/bf16.h"

namespace cpu {

// What multiplies bf16 on this CPU faster than fp32: AMX, which also needs the operating system's permission, for
// which the first call asks; else AVX512-BF16, but not on Intel's CPUs, where its instruction takes two cycles and
// reached 0.6 of fp32. The CPU's kind alone decides, and no measurement: the same machine gives the same bits.
enum class Bf16Unit { none, avx512, amx };
Bf16Unit bf16_unit();
// From now on no faster unit than this is used: for tests of the slower ones.
void limit_bf16_unit(Bf16Unit fastest);

// packed [packed_bf16_elements(N, K)] from weight [N, K]: W^T for the forward product; W for the backward
// one, as large. Aligned to 64 bytes it is read fastest.
void pack_bf16(bf16* packed, const float* weight, std::int64_t N, std::int64_t K);
void pack_bf16_backward(bf16* packed, const float* weight, std::int64_t N, std::int64_t K);
std::int64_t packed_bf16_elements(std::int64_t N, std::int64_t K);

// The contracts of matmul.h; `weight` is packed for the product. No result depends on the number of threads;
// a row's bits do not depend on the other rows. bf16_unit() must not be `none`.
void linear_forward(float* y, std::int64_t y_stride, const float* x, std::int64_t x_stride,
                    const bf16* weight, const float* bias, std::int64_t rows, std::int64_t N, std::int64_t K);
void linear_gelu_forward(float* activated, float* y, const float* x, const bf16* weight, const float* bias,
                         std::int64_t rows, std::int64_t N, std::int64_t K);
void linear_backward_input(float* dx, std::int64_t dx_stride, const float* dy, std::int64_t dy_stride,
                           const bf16* weight, std::int64_t rows, std::int64_t N, std::int64_t K);
void linear_backward_input_accumulate(float* dx, std::int64_t dx_stride, const float* dy,
                                      std::int64_t dy_stride, const bf16* weight, std::int64_t rows,
                                      std::int64_t N, std::int64_t K);
// d_bias sums dy unrounded. `workspace` as in matmul.h.
void linear_backward_weight(Bf16ProductSum d_weight, float* d_bias, float* workspace, const float* dy,
                            std::int64_t dy_stride, const float* x, std::int64_t x_stride, std::int64_t rows,
                            std::int64_t N, std::int64_t K);

}  // namespace cpu
