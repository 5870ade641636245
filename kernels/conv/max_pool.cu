// A thread takes 16 bytes of a 2 x 2 cell, or one element where channels and addresses do not allow that:
// neighbouring threads touch neighbouring memory, and everything is read or written once. Backward, cells
// that stick out of an odd map only write zeros.
// ptxas budget: 64 registers, no spills
#include "kernels/conv/max_pool.h"

#include "kernels/common/bf16.h"
#include "kernels/common/rows.cuh"

namespace cuda {
namespace {

// Rows of for_rows are cells, `height` x `width` of them in an image.
struct Cells {
    std::int64_t H, W, C;
    Divisor by_height, by_width;

    Cells(const MaxPoolShape& shape, std::int64_t height, std::int64_t width)
        : H(shape.H), W(shape.W), C(shape.C), by_height(height), by_width(width) {}

    struct Cell {
        std::int64_t image, i, j;
    };
    __device__ Cell at(std::int64_t number) const {
        const auto cell = static_cast<std::uint32_t>(number);
        const std::uint32_t row = by_width.quotient(cell);
        return {by_height.quotient(row), by_height.remainder(row), by_width.remainder(cell)};
    }
    // The first element of the cell in the larger map.
    __device__ std::int64_t first(const Cell& cell) const {
        return ((cell.image * H + 2 * cell.i) * W + 2 * cell.j) * C;
    }
};

template <class T>
struct Forward {
    static constexpr int chunk = Packed<T>::count;
    T* y;
    const T* x;
    Cells cells;

    template <int n>
    __device__ void run(std::int64_t cell, std::int64_t channel) const {
        const std::int64_t above = cells.first(cells.at(cell)) + channel, C = cells.C,
                           offsets[] = {above, above + C, above + cells.W * C, above + cells.W * C + C};
        float best[n];
        load_elements(best, x + above);
#pragma unroll
        for (int k = 1; k < 4; ++k) {
            float other[n];
            load_elements(other, x + offsets[k]);
#pragma unroll
            for (int i = 0; i < n; ++i) best[i] = fmaxf(best[i], other[i]);
        }
        store_elements(y + cell * C + channel, best);
    }
};

template <class T>
struct Backward {
    static constexpr int chunk = Packed<T>::count;
    T* dx;
    const T *dy, *x;
    Cells cells;

    template <int n>
    __device__ void run(std::int64_t number, std::int64_t channel) const {
        const Cells::Cell cell = cells.at(number);
        const std::int64_t C = cells.C, first = cells.first(cell) + channel, height = cells.H / 2,
                           width = cells.W / 2;
        const bool whole = cell.i < height && cell.j < width;
        float best[n], gradient[n] = {};
        int winner[n] = {};
        if (whole) {
            load_elements(gradient, dy + ((cell.image * height + cell.i) * width + cell.j) * C + channel);
            load_elements(best, x + first);
#pragma unroll
            for (int k = 1; k < 4; ++k) {
                float other[n];
                load_elements(other, x + first + ((k / 2) * cells.W + k % 2) * C);
#pragma unroll
                for (int i = 0; i < n; ++i)
                    if (other[i] > best[i]) best[i] = other[i], winner[i] = k;
            }
        }
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            if (2 * cell.i + k / 2 >= cells.H || 2 * cell.j + k % 2 >= cells.W) continue;
            float part[n];
#pragma unroll
            for (int i = 0; i < n; ++i) part[i] = winner[i] == k ? gradient[i] : 0.0f;
            store_elements(dx + first + ((k / 2) * cells.W + k % 2) * C, part);
        }
    }
};

}  // namespace

template <class T>
void max_pool_forward(Stream stream, T* y, const T* x, const MaxPoolShape& shape) {
    const std::int64_t height = shape.out_height(), width = shape.out_width();
    if (shape.B * height * width == 0) return;
    const bool packed = shape.C % Packed<T>::count == 0 && aligned(y, x);
    for_rows(stream, shape.B * height * width, shape.C, packed,
             Forward<T>{y, x, Cells(shape, height, width)});
}

template <class T>
void max_pool_backward(Stream stream, T* dx, const T* dy, const T* x, const MaxPoolShape& shape) {
    const std::int64_t height = (shape.H + 1) / 2, width = (shape.W + 1) / 2;
    if (shape.B * height * width == 0) return;
    const bool packed = shape.C % Packed<T>::count == 0 && aligned(dx, dy, x);
    for_rows(stream, shape.B * height * width, shape.C, packed,
             Backward<T>{dx, dy, x, Cells(shape, height, width)});
}

template void max_pool_forward(Stream, float*, const float*, const MaxPoolShape&);
template void max_pool_forward(Stream, bf16*, const bf16*, const MaxPoolShape&);
template void max_pool_backward(Stream, float*, const float*, const float*, const MaxPoolShape&);
template void max_pool_backward(Stream, bf16*, const bf16*, const bf16*, const MaxPoolShape&);

}  // namespace cuda
