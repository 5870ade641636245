// Rows of a table by their index.
//
//   y_r = table[ids_r]        dtable[v] += sum over the rows r with ids_r = v of dy_r
//
// Ids must lie in 0..vocabulary-1: the kernels do not check. Strides are in elements, so that the outputs can
// be every k-th token of a sequence and the ids one channel of interleaved pixels.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// Row r of y at y + r * y_stride [width]; table [vocabulary, width]; its id is ids[r * ids_stride]. No
// aliasing. Moves 8 bytes per element of y (the table's rows from cache where they repeat).
void embedding_forward(float* y, std::int64_t y_stride, const float* table, const std::int32_t* ids,
                       std::int64_t ids_stride, std::int64_t rows, std::int64_t width);

// dtable [vocabulary, width] accumulates, every entry in the order of rows (on the GPU, where there are many
// rows: in slices of them, each in the order of rows, slices in a fixed order). dy as y above; workspace may
// be null if it needs none. Moves 4 bytes per element of dy, and 8 more per element in cache while dtable
// fits there; 1 operation.
void embedding_backward(float* dtable, float* workspace, const float* dy, std::int64_t dy_stride,
                        const std::int32_t* ids, std::int64_t ids_stride, std::int64_t rows,
                        std::int64_t vocabulary, std::int64_t width);

// Floats of workspace the backward needs: none on the CPU.
std::int64_t embedding_backward_workspace(std::int64_t rows, std::int64_t vocabulary, std::int64_t width);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void embedding_forward(Stream stream, T* y, std::int64_t y_stride, const float* table,
                       const std::int32_t* ids, std::int64_t ids_stride, std::int64_t rows,
                       std::int64_t width);
template <class T>
void embedding_backward(Stream stream, float* dtable, float* workspace, const T* dy, std::int64_t dy_stride,
                        const std::int32_t* ids, std::int64_t ids_stride, std::int64_t rows,
                        std::int64_t vocabulary, std::int64_t width);
std::int64_t embedding_backward_workspace(std::int64_t rows, std::int64_t vocabulary, std::int64_t width);

}  // namespace cuda
