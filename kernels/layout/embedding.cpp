// The backward pass gives each thread some columns of the table and lets it walk through all rows: no
// atomics, no sorting, and every entry is summed in the order of rows, for any number of threads. The price
// is that ids are read once per block of columns, 4 bytes for every 128 of dy.
#include "kernels/layout/embedding.h"

#include <algorithm>
#include <type_traits>

#include "kernels/common/partition.h"

namespace cpu {

void embedding_forward(float* y, std::int64_t y_stride, const float* table, const std::int32_t* ids,
                       std::int64_t ids_stride, std::int64_t rows, std::int64_t width) {
    for_each_task(rows, rows * width, [=](std::int64_t row) {
        const float* entry = table + ids[row * ids_stride] * width;
        std::copy(entry, entry + width, y + row * y_stride);
    });
}

// The columns one thread takes at a time; a constant, so that its loop is four vector instructions of 512
// bits.
constexpr std::int64_t column_block = 32;

template <class Width>
static void add_columns(float* dtable, const float* dy, std::int64_t dy_stride, const std::int32_t* ids,
                        std::int64_t ids_stride, std::int64_t rows, std::int64_t table_stride,
                        Width columns) {
    for (std::int64_t row = 0; row < rows; ++row) {
        float* entry = dtable + ids[row * ids_stride] * table_stride;
        const float* gradient = dy + row * dy_stride;
#pragma omp simd
        for (std::int64_t i = 0; i < columns; ++i) entry[i] += gradient[i];
    }
}

void embedding_backward(float* dtable, [[maybe_unused]] float* workspace, const float* dy,
                        std::int64_t dy_stride, const std::int32_t* ids, std::int64_t ids_stride,
                        std::int64_t rows, [[maybe_unused]] std::int64_t vocabulary, std::int64_t width) {
    for_each_task((width + column_block - 1) / column_block, rows * width, [=](std::int64_t block) {
        const std::int64_t first = block * column_block;
        if (width - first >= column_block)
            add_columns(dtable + first, dy + first, dy_stride, ids, ids_stride, rows, width,
                        std::integral_constant<std::int64_t, column_block>{});
        else
            add_columns(dtable + first, dy + first, dy_stride, ids, ids_stride, rows, width, width - first);
    });
}

std::int64_t embedding_backward_workspace(std::int64_t, std::int64_t, std::int64_t) {
    return 0;
}

}  // namespace cpu
