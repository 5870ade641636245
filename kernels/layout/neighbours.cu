// Forward and backward are gathers, as on the CPU: each thread computes the row that it copies, or the up to
// five rows that it sums, with one division for its place in the grid. Each row of x is read up to five
// times; the four reads by neighbours hit the cache.
// ptxas budget: 48 registers, no spills
#include "kernels/layout/neighbours.h"

#include "kernels/common/bf16.h"
#include "kernels/common/rows.cuh"
#include "kernels/layout/neighbour_place.cuh"

namespace cuda {
namespace {

// Token of x that row `task` of y shows, or -1 beyond the border.
struct Neighbours {
    const std::int32_t* selected;
    Divisor by_conditions, by_patches;
    NeighbourShape shape;

    Neighbours(const std::int32_t* patches, const NeighbourShape& form)
        : selected(patches), by_conditions(form.n), by_patches(form.side * form.side), shape(form) {}

    __device__ std::int64_t token(std::int64_t task) const {
        const int side = static_cast<int>(shape.side), patches = side * side;
        const std::int64_t k = by_conditions.quotient(static_cast<std::uint32_t>(task));
        const int index = selected[k], direction = static_cast<int>(task - k * shape.n);
        const std::int64_t m = by_patches.quotient(static_cast<std::uint32_t>(index));
        const NeighbourPlace place(index - static_cast<int>(m) * patches, side, direction, 1);
        if (!place.inside(side)) return -1;
        return m * (shape.prefix + patches) + shape.prefix + place.row * side + place.column;
    }
};

// n elements of row `from` of x at `column`, zeros if `from` is negative.
template <int n, class T>
__device__ inline void copy_row(T* to, const T* x, std::int64_t from, std::int64_t width,
                                std::int64_t column) {
    float values[n] = {};
    if (from >= 0) load_elements(values, x + from * width + column);
    store_elements(to + column, values);
}

// From the tokens of x or, `joins`, from the row of x itself.
template <class T, bool joins>
struct Gather {
    static constexpr int chunk = Packed<T>::count;
    T* y;
    const T* x;
    Neighbours neighbours;

    template <int n>
    __device__ void run(std::int64_t task, std::int64_t column) const {
        const std::int64_t D = neighbours.shape.D, token = neighbours.token(task);
        copy_row<n>(y + task * D, x, joins && token >= 0 ? task : token, D, column);
    }
};

template <class T>
struct GatherRows {
    static constexpr int chunk = Packed<T>::count;
    float* y;
    T* attended_y;
    const float* x;
    const T* attended;
    Neighbours neighbours;

    template <int n>
    __device__ void run(std::int64_t task, std::int64_t column) const {
        const std::int64_t D = neighbours.shape.D, token = neighbours.token(task);
        copy_row<n>(y + task * D, x, token, D, column);
        copy_row<n>(attended_y + task * D, attended, token, D, column);
    }
};

template <class T>
struct Backward {
    static constexpr int chunk = Packed<T>::count;
    T* dx;
    const T* dy;
    const std::int32_t* rows;
    Divisor by_length;
    NeighbourShape shape;

    template <int n>
    __device__ void run(std::int64_t task, std::int64_t column) const {
        const int side = static_cast<int>(shape.side), patches = side * side;
        const std::int64_t m = by_length.quotient(static_cast<std::uint32_t>(task)),
                           t = task - m * (shape.prefix + patches) - shape.prefix;
        float sum[n] = {};
        for (int j = 0; t >= 0 && j < shape.n; ++j) {
            const NeighbourPlace place(static_cast<int>(t), side, j, -1);
            if (!place.inside(side)) continue;
            const std::int64_t k = rows[m * patches + place.row * side + place.column];
            if (k < 0) continue;
            float gradient[n];
            load_elements(gradient, dy + (k * shape.n + j) * shape.D + column);
#pragma unroll
            for (int i = 0; i < n; ++i) sum[i] += gradient[i];
        }
        store_elements(dx + task * shape.D + column, sum);
    }
};

}  // namespace

template <class T>
void gather_neighbours(Stream stream, T* y, const T* x, const std::int32_t* selected, std::int64_t K,
                       const NeighbourShape& shape) {
    for_rows(stream, K * shape.n, shape.D, shape.D % Packed<T>::count == 0 && aligned(y, x),
             Gather<T, false>{y, x, Neighbours(selected, shape)});
}

template <class T>
void gather_neighbour_rows(Stream stream, float* y, T* attended_y, const float* x, const T* attended,
                           const std::int32_t* selected, std::int64_t K, const NeighbourShape& shape) {
    for_rows(stream, K * shape.n, shape.D,
             shape.D % Packed<T>::count == 0 && aligned(y, x) && aligned(attended_y, attended),
             GatherRows<T>{y, attended_y, x, attended, Neighbours(selected, shape)});
}

template <class T>
void join_neighbours(Stream stream, T* y, const T* x, const std::int32_t* selected, std::int64_t K,
                     const NeighbourShape& shape) {
    for_rows(stream, K * shape.n, shape.D, shape.D % Packed<T>::count == 0 && aligned(y, x),
             Gather<T, true>{y, x, Neighbours(selected, shape)});
}

template <class T>
void gather_neighbours_backward(Stream stream, T* dx, const T* dy, const std::int32_t* rows, std::int64_t M,
                                const NeighbourShape& shape) {
    const std::int64_t length = shape.prefix + shape.side * shape.side;
    for_rows(stream, M * length, shape.D, shape.D % Packed<T>::count == 0 && aligned(dx, dy),
             Backward<T>{dx, dy, rows, Divisor(length), shape});
}

template void gather_neighbours(Stream, float*, const float*, const std::int32_t*, std::int64_t,
                                const NeighbourShape&);
template void gather_neighbours(Stream, bf16*, const bf16*, const std::int32_t*, std::int64_t,
                                const NeighbourShape&);
template void gather_neighbours_backward(Stream, float*, const float*, const std::int32_t*, std::int64_t,
                                         const NeighbourShape&);
template void gather_neighbours_backward(Stream, bf16*, const bf16*, const std::int32_t*, std::int64_t,
                                         const NeighbourShape&);
template void gather_neighbour_rows(Stream, float*, float*, const float*, const float*, const std::int32_t*,
                                    std::int64_t, const NeighbourShape&);
template void gather_neighbour_rows(Stream, float*, bf16*, const float*, const bf16*, const std::int32_t*,
                                    std::int64_t, const NeighbourShape&);
template void join_neighbours(Stream, float*, const float*, const std::int32_t*, std::int64_t,
                              const NeighbourShape&);
template void join_neighbours(Stream, bf16*, const bf16*, const std::int32_t*, std::int64_t,
                              const NeighbourShape&);

}  // namespace cuda
