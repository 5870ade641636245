// memcpy per row already runs at memory speed.
#include "kernels/layout/gather.h"

#include <cstring>

#include "kernels/common/partition.h"

namespace cpu {

void copy_rows(float* y, std::int64_t y_stride, const float* x, std::int64_t x_stride, std::int64_t rows,
               std::int64_t width) {
    for_each_task(rows, rows * width, [=](std::int64_t row) {
        std::memcpy(y + row * y_stride, x + row * x_stride, static_cast<std::size_t>(width) * sizeof(float));
    });
}

void add_rows(float* y, std::int64_t y_stride, const float* x, std::int64_t x_stride, std::int64_t rows,
              std::int64_t width) {
    for_each_task(rows, rows * width, [=](std::int64_t row) {
        float* out = y + row * y_stride;
        const float* in = x + row * x_stride;
#pragma omp simd
        for (std::int64_t i = 0; i < width; ++i) out[i] += in[i];
    });
}

void gather_rows(float* y, const float* x, const std::int32_t* index, std::int64_t rows, std::int64_t width) {
    for_each_task(rows, rows * width, [=](std::int64_t row) {
        std::memcpy(y + row * width, x + index[row] * width, static_cast<std::size_t>(width) * sizeof(float));
    });
}

void scatter_rows(float* y, const float* x, const std::int32_t* index, std::int64_t rows,
                  std::int64_t width) {
    for_each_task(rows, rows * width, [=](std::int64_t row) {
        std::memcpy(y + index[row] * width, x + row * width, static_cast<std::size_t>(width) * sizeof(float));
    });
}

}  // namespace cpu
