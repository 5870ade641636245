// Sums whose result does not depend on the number of threads: fixed partitions, added in order (partition.h).
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// *total += weight * sum(values [count]), summed in double. Moves 4 bytes per element, 1 operation. On a
// device, one block does it: fit for some 100,000 values.
void sum_accumulate(double* total, const float* values, std::int64_t count, double weight);

// *total += sum(x_i^2), x [count], in double. Moves 4 bytes per element, 2 operations. `workspace`:
// squared_norm_workspace() doubles.
void squared_norm_accumulate(double* total, double* workspace, const float* x, std::int64_t count);
std::int64_t squared_norm_workspace();

// sums_c += sum_r x_rc: the gradient of a bias. sums [width]; row r of x at x + r * x_stride [width].
// Moves 4 bytes per element, 1 operation.
void column_sum_accumulate(float* sums, float* workspace, const float* x, std::int64_t x_stride,
                           std::int64_t rows, std::int64_t width);

// Floats of workspace that column_sum_accumulate needs, for any number of rows.
std::int64_t column_sum_workspace(std::int64_t width);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void sum_accumulate(Stream stream, double* total, const float* values, std::int64_t count, double weight);
void squared_norm_accumulate(Stream stream, double* total, double* workspace, const float* x,
                             std::int64_t count);
std::int64_t squared_norm_workspace();
template <class T>
void column_sum_accumulate(Stream stream, float* sums, float* workspace, const T* x, std::int64_t x_stride,
                           std::int64_t rows, std::int64_t width);
std::int64_t column_sum_workspace(std::int64_t width);

}  // namespace cuda
