// Moving whole rows. Bytes moved: each row once in, once out; no arithmetic but add_rows' one operation.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// y[r, :] = x[r, :] for `rows` rows of `width` floats that lie `y_stride` and `x_stride` floats apart. With
// x_stride = L * W and width = (L - 1) * W this drops the last token of every sequence.
void copy_rows(float* y, std::int64_t y_stride, const float* x, std::int64_t x_stride, std::int64_t rows,
               std::int64_t width);

// y[r, :] += x[r, :], strides as above.
void add_rows(float* y, std::int64_t y_stride, const float* x, std::int64_t x_stride, std::int64_t rows,
              std::int64_t width);

// y[r] = x[index[r]] and y[index[r]] = x[r], for rows of `width` floats; indices must differ where they are
// written to.
void gather_rows(float* y, const float* x, const std::int32_t* index, std::int64_t rows, std::int64_t width);
void scatter_rows(float* y, const float* x, const std::int32_t* index, std::int64_t rows, std::int64_t width);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void copy_rows(Stream stream, T* y, std::int64_t y_stride, const T* x, std::int64_t x_stride,
               std::int64_t rows, std::int64_t width);
template <class T>
void add_rows(Stream stream, T* y, std::int64_t y_stride, const T* x, std::int64_t x_stride,
              std::int64_t rows, std::int64_t width);
template <class T>
void gather_rows(Stream stream, T* y, const T* x, const std::int32_t* index, std::int64_t rows,
                 std::int64_t width);
template <class T>
void scatter_rows(Stream stream, T* y, const T* x, const std::int32_t* index, std::int64_t rows,
                  std::int64_t width);

}  // namespace cuda
