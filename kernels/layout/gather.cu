// Copies at memory speed: 16 bytes per thread where rows are aligned. All moving kernels are one: row r goes
// from x[from(r)] to y[to(r)], with or without indices; their 4 bytes per row are read once per chunk, from
// cache.
// ptxas budget: 40 registers, no spills
#include "kernels/layout/gather.h"

#include "kernels/common/bf16.h"
#include "kernels/common/rows.cuh"

namespace cuda {
namespace {

template <class T>
struct Move {
    static constexpr int chunk = Packed<T>::count;
    T* y;
    const T* x;
    std::int64_t y_stride, x_stride;
    const std::int32_t *to, *from;  // null: row r itself

    template <int n>
    __device__ void run(std::int64_t row, std::int64_t column) const {
        const std::int64_t target = to == nullptr ? row : to[row], source = from == nullptr ? row : from[row];
        copy_elements<n>(y + target * y_stride + column, x + source * x_stride + column);
    }
};

template <class T>
struct Add {
    static constexpr int chunk = Packed<T>::count;
    T* y;
    const T* x;
    std::int64_t y_stride, x_stride;

    template <int n>
    __device__ void run(std::int64_t row, std::int64_t column) const {
        float sum[n], addend[n];
        load_elements(sum, y + row * y_stride + column);
        load_elements(addend, x + row * x_stride + column);
#pragma unroll
        for (int i = 0; i < n; ++i) sum[i] += addend[i];
        store_elements(y + row * y_stride + column, sum);
    }
};

template <class Body>
void for_strided_rows(Stream stream, std::int64_t rows, std::int64_t width, const Body& body) {
    constexpr int n = Body::chunk;
    const bool packed = width % n == 0 && (rows == 1 || (body.y_stride % n == 0 && body.x_stride % n == 0)) &&
                        aligned(body.y, body.x);
    for_rows(stream, rows, width, packed, body);
}

}  // namespace

template <class T>
void copy_rows(Stream stream, T* y, std::int64_t y_stride, const T* x, std::int64_t x_stride,
               std::int64_t rows, std::int64_t width) {
    for_strided_rows(stream, rows, width, Move<T>{y, x, y_stride, x_stride, nullptr, nullptr});
}

template <class T>
void add_rows(Stream stream, T* y, std::int64_t y_stride, const T* x, std::int64_t x_stride,
              std::int64_t rows, std::int64_t width) {
    for_strided_rows(stream, rows, width, Add<T>{y, x, y_stride, x_stride});
}

template <class T>
void gather_rows(Stream stream, T* y, const T* x, const std::int32_t* index, std::int64_t rows,
                 std::int64_t width) {
    for_rows(stream, rows, width, width % Packed<T>::count == 0 && aligned(y, x),
             Move<T>{y, x, width, width, nullptr, index});
}

template <class T>
void scatter_rows(Stream stream, T* y, const T* x, const std::int32_t* index, std::int64_t rows,
                  std::int64_t width) {
    for_rows(stream, rows, width, width % Packed<T>::count == 0 && aligned(y, x),
             Move<T>{y, x, width, width, index, nullptr});
}

template void copy_rows(Stream, float*, std::int64_t, const float*, std::int64_t, std::int64_t, std::int64_t);
template void copy_rows(Stream, bf16*, std::int64_t, const bf16*, std::int64_t, std::int64_t, std::int64_t);
template void add_rows(Stream, float*, std::int64_t, const float*, std::int64_t, std::int64_t, std::int64_t);
template void add_rows(Stream, bf16*, std::int64_t, const bf16*, std::int64_t, std::int64_t, std::int64_t);
template void gather_rows(Stream, float*, const float*, const std::int32_t*, std::int64_t, std::int64_t);
template void gather_rows(Stream, bf16*, const bf16*, const std::int32_t*, std::int64_t, std::int64_t);
template void scatter_rows(Stream, float*, const float*, const std::int32_t*, std::int64_t, std::int64_t);
template void scatter_rows(Stream, bf16*, const bf16*, const std::int32_t*, std::int64_t, std::int64_t);

}  // namespace cuda
