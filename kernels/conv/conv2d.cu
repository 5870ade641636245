// Implicit products of matrices: maps are gathered tile by tile (conv2d_gather.cuh) and no matrix of patches
// is ever written. Each call first packs the weights into rows whose channels lie together, [N, taps, C] or,
// towards the input, [C, taps, N], which tiles read in 16 bytes: a pass over the weights, small beside maps.
//
// Why not cuBLASLt over patches: the matrix of patches is 9 times the map, written and read.
//
// ptxas budget: 160 registers, no spills
#include "kernels/conv/conv2d.h"

#include <algorithm>
#include <stdexcept>

#include "kernels/conv/conv2d_product.cuh"
#include "kernels/conv/conv2d_weight.cuh"
#include "kernels/linear/reduce.h"

namespace cuda {
namespace conv2d {
namespace {

constexpr int pack_threads = 256;

// packed [N, taps, C] from weight [N, C, taps] or, `transposed`, [C, taps, N].
template <class T>
__global__ void pack(T* packed, const T* weight, std::int64_t weights, int N, int C, int taps,
                     bool transposed) {
    wait_for_previous_kernel();
    const std::int64_t i = thread_index();
    if (i >= weights) return;
    const int columns = transposed ? N : C;
    const std::int64_t row = i / (static_cast<std::int64_t>(taps) * columns);
    const int within = static_cast<int>(i - row * taps * columns), tap = within / columns,
              column = within % columns;
    const std::int64_t n = transposed ? column : row, c = transposed ? row : column;
    packed[i] = weight[(n * C + c) * taps + tap];
}

template <class T>
T* packed_weight(Stream stream, float* workspace, const T* weight, const Conv2dShape& s, bool transposed) {
    T* const packed = reinterpret_cast<T*>(workspace);
    launch(pack<T>, blocks_for(s.weights(), pack_threads), pack_threads, 0, stream, packed, weight,
           s.weights(), static_cast<int>(s.N), static_cast<int>(s.C), static_cast<int>(s.taps()), transposed);
    return packed;
}

void check_size(const Conv2dShape& s) {
    if (s.rows() > INT32_MAX || s.out_rows() > INT32_MAX || s.weights() > INT32_MAX)
        throw std::runtime_error("CUDA: a convolution of more than 2^31 - 1 pixels or weights");
}

// x as output pixels see it.
template <class T>
Gather gather_x(const T* x, const T* weight, const Conv2dShape& s) {
    const auto axis = [&](std::int64_t size, std::int64_t kernel, std::int64_t padding) {
        return Axis{static_cast<int>(size), static_cast<int>(-padding), static_cast<int>(kernel), 0};
    };
    return {Grid(s.batch, s.out_height(), s.out_width()),
            axis(s.height, s.kernel_height, s.padding_height),
            axis(s.width, s.kernel_width, s.padding_width),
            static_cast<int>(s.C),
            static_cast<int>(s.stride),
            1,
            1,
            static_cast<int>(s.kernel_width),
            s.C % chunk_of<T> == 0 && aligned(x) && aligned(weight)};
}

template <class T>
Product product_of(const Gather& gather, const T* out, const Placement& placement, std::int64_t N,
                   const Conv2dShape& s, bool relu = false) {
    const std::int64_t steps = (gather.inner() + depth_of<T> - 1) / depth_of<T>;
    return {gather,
            placement,
            static_cast<int>(N),
            static_cast<int>(s.weights() / N),
            static_cast<int>(steps),
            N % chunk_of<T> == 0 && aligned(out),
            relu};
}

// The pixels of x whose row is `row` and whose column is `column` modulo the stride, and dy as they see it.
template <class T>
void backward_phase(Stream stream, T* dx, const T* packed, const T* dy, const Conv2dShape& s,
                    std::int64_t row, std::int64_t column) {
    const auto count = [&](std::int64_t size, std::int64_t first) {
        return (size - first + s.stride - 1) / s.stride;
    };
    if (row >= s.height || column >= s.width) return;
    const auto axis = [&](std::int64_t size, std::int64_t first, std::int64_t kernel, std::int64_t padding) {
        const std::int64_t tap = (first + padding) % s.stride;
        return Axis{static_cast<int>(size), static_cast<int>((first + padding - tap) / s.stride),
                    static_cast<int>(count(kernel, std::min(tap, kernel))), static_cast<int>(tap)};
    };
    const Gather gather{Grid(s.batch, count(s.height, row), count(s.width, column)),
                        axis(s.out_height(), row, s.kernel_height, s.padding_height),
                        axis(s.out_width(), column, s.kernel_width, s.padding_width),
                        static_cast<int>(s.N),
                        1,
                        -1,
                        static_cast<int>(s.stride),
                        static_cast<int>(s.kernel_width),
                        s.N % chunk_of<T> == 0 && aligned(dy) && aligned(packed)};
    const Placement placement{static_cast<int>(s.height), static_cast<int>(s.width),
                              static_cast<int>(s.stride), static_cast<int>(row), static_cast<int>(column)};
    launch_product<T>(stream, dx, dy, packed, nullptr, product_of(gather, dx, placement, s.C, s));
}

// So many slices that a large device has four blocks for each of its multiprocessors, and 256 rows in each.
std::int64_t slices_of(const Conv2dShape& s) {
    constexpr std::int64_t wanted_blocks = 528, least_rows = 256;
    const std::int64_t columns = weight_columns<bf16>,
                       tiles = ((s.N + columns - 1) / columns) * ((s.inner() + columns - 1) / columns);
    return std::clamp(wanted_blocks / tiles, std::int64_t{1},
                      std::max(s.out_rows() / least_rows, std::int64_t{1}));
}

}  // namespace
}  // namespace conv2d

using namespace conv2d;

template <class T>
void conv2d_forward(Stream stream, T* y, float* workspace, const T* x, const T* weight, const T* bias,
                    bool relu, const Conv2dShape& shape) {
    if (shape.batch == 0) return;
    check_size(shape);
    const T* const packed = packed_weight(stream, workspace, weight, shape, false);
    const Placement placement{static_cast<int>(shape.out_height()), static_cast<int>(shape.out_width()), 1, 0,
                              0};
    launch_product<T>(stream, y, x, packed, bias,
                      product_of(gather_x(x, packed, shape), y, placement, shape.N, shape, relu));
}
std::int64_t conv2d_forward_workspace(const Conv2dShape& shape) {
    return shape.weights();
}

template <class T>
void conv2d_backward_input(Stream stream, T* dx, float* workspace, const T* dy, const T* weight,
                           const Conv2dShape& shape) {
    if (shape.batch == 0) return;
    check_size(shape);
    const T* const packed = packed_weight(stream, workspace, weight, shape, true);
    for (std::int64_t row = 0; row < shape.stride; ++row)
        for (std::int64_t column = 0; column < shape.stride; ++column)
            backward_phase(stream, dx, packed, dy, shape, row, column);
}
std::int64_t conv2d_backward_input_workspace(const Conv2dShape& shape) {
    return shape.weights();
}

template <class T>
void conv2d_backward_weight(Stream stream, float* d_weight, float* d_bias, float* workspace, const T* dy,
                            const T* x, const Conv2dShape& shape) {
    if (shape.batch == 0) return;
    check_size(shape);
    const std::int64_t slices = slices_of(shape), K = shape.inner();
    const std::int64_t rows = (shape.out_rows() + slices - 1) / slices,
                       slice_rows = (rows + weight_rows - 1) / weight_rows * weight_rows;
    const WeightProduct p{gather_x(x, x, shape), static_cast<int>(shape.N), static_cast<int>(K),
                          static_cast<int>(slice_rows), shape.N % chunk_of<T> == 0 && aligned(dy)};
    const unsigned used = blocks_for(shape.out_rows(), slice_rows);
    launch(p.gather.packed ? weight_product<T, true> : weight_product<T, false>,
           dim3(blocks_for(K, weight_columns<T>), blocks_for(shape.N, weight_columns<T>), used), threads,
           shared_array_bytes(weight_stages * 2 * weight_tile<T> * sizeof(T)), stream, workspace, dy, x, p);
    launch(weight_sum, blocks_for(shape.weights(), pack_threads), pack_threads, 0, stream, d_weight,
           workspace, static_cast<int>(used), shape.weights(), static_cast<int>(shape.C),
           static_cast<int>(shape.taps()));
    if (d_bias != nullptr)
        column_sum_accumulate(stream, d_bias, workspace, dy, shape.N, shape.out_rows(), shape.N);
}
std::int64_t conv2d_backward_weight_workspace(const Conv2dShape& shape) {
    return std::max(slices_of(shape) * shape.weights(), column_sum_workspace(shape.N));
}

template void conv2d_forward(Stream, float*, float*, const float*, const float*, const float*, bool,
                             const Conv2dShape&);
template void conv2d_forward(Stream, bf16*, float*, const bf16*, const bf16*, const bf16*, bool,
                             const Conv2dShape&);
template void conv2d_backward_input(Stream, float*, float*, const float*, const float*, const Conv2dShape&);
template void conv2d_backward_input(Stream, bf16*, float*, const bf16*, const bf16*, const Conv2dShape&);
template void conv2d_backward_weight(Stream, float*, float*, float*, const float*, const float*,
                                     const Conv2dShape&);
template void conv2d_backward_weight(Stream, float*, float*, float*, const bf16*, const bf16*,
                                     const Conv2dShape&);

}  // namespace cuda
