// The linear layer of a sampling step: y = x W^T + b for a few rows, with weights laid out for it beforehand.
//
// A sampling step has one token per sequence: at 16 rows each weight is used for 32 operations. A general
// product would spend as long on transposing W [N, K] as on multiplying, at every call; packed once per
// sampling job, the weights stream past at the rate of the cache they lie in, and 8 rows times 32 outputs are
// 16 vector sums that stay in registers.
//
// Layout: panels of 32 outputs, each [bias, then K rows of weights] x 32, the last panel filled up with
// zeros. Operations: 2 rows N K. Bytes: 4 (K + 1) N of weights for every 8 rows (from the first-level cache
// but for the first 8), 4 rows (K + N).
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

constexpr int packed_panel = 32;  // outputs
constexpr int packed_rows = 8;    // rows that a panel is applied to at once

std::int64_t packed_linear_elements(std::int64_t N, std::int64_t K);

// packed [packed_linear_elements(N, K)] from weight [N, K] and bias [N] (null: zeros).
void pack_linear(float* packed, const float* weight, const float* bias, std::int64_t N, std::int64_t K);

// y [rows, N] = x [rows, K] W^T + b, overwritten. Panels are divided among threads. A row's bits do not
// depend on the other rows.
void packed_linear_forward(float* y, const float* x, const float* packed, std::int64_t rows, std::int64_t N,
                           std::int64_t K);

// y += x W^T + b for 1 to 8 rows, or y = ... if not `accumulate`, on the calling thread: a part for kernels
// of the CPU.
void packed_linear_tile(float* y, const float* x, const float* packed, int rows, std::int64_t N,
                        std::int64_t K, bool accumulate);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h. Weights and bias are
// packed as T, in a layout of its own (packed_linear.cu), from float in device memory; packed is 16-byte
// aligned. There too a row's bits depend neither on the other rows nor on their number. Moved are sizeof(T)
// (K + 1) N bytes of weights for every 32 rows, for every 8 in float.
std::int64_t packed_linear_elements(std::int64_t N, std::int64_t K);
template <class T>
void pack_linear(Stream stream, T* packed, const float* weight, const float* bias, std::int64_t N,
                 std::int64_t K);
template <class T>
void packed_linear_forward(Stream stream, T* y, const T* x, const T* packed, std::int64_t rows,
                           std::int64_t N, std::int64_t K);

}  // namespace cuda
