// Bound by memory, and by the order of additions, which must not depend on which block is done first. So
// every sum is taken in two passes: blocks sum fixed parts of the input and write them down, and a second
// kernel adds the parts in order. The price is a second launch; the partial sums are negligible.
//
// Sums of single numbers are taken in double: as many additions as there are elements, 1 for each 4 bytes
// read, which even devices with a 64th of the rate for double can hide. sum_accumulate is for losses, some
// 10,000 numbers that one block reads in a few microseconds, and so needs no second pass and no workspace.
//
// Column sums: a block is `lanes` threads wide, each of which reads 16 bytes of a row, and as many rows high
// as 256 threads allow, so that narrow and wide matrices are both read in full lines. Each thread sums its
// columns over every so manieth row of the slice in registers, the block adds up its threads in shared
// memory, and slices are added by the second kernel.
//
// ptxas budget: 64 registers, no spills
#include "kernels/linear/reduce.h"

#include <algorithm>
#include <bit>

#include "kernels/common/bf16.h"
#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/common/slices.cuh"
#include "kernels/common/total.cuh"

namespace cuda {
namespace {

// ---- sums of all elements ---------------------------------------------------------------------------------

constexpr int sum_threads = 512;

struct Identity {
    __device__ double operator()(double x) const { return x; }
};
struct Square {
    __device__ double operator()(double x) const { return x * x; }
};

// One block's share of the sum of term(values_i), in all of its threads: 16 bytes at a time if the address
// allows it. The remainder after the last whole 16 bytes is added by the first threads.
template <class Term>
__device__ double block_share(const float* values, std::int64_t count, Term term, double* parts) {
    double sum = 0;
    std::int64_t whole = 0;
    if (aligned(values)) {
        whole = count / 4 * 4;
#pragma unroll 4
        for (std::int64_t i = thread_index() * 4; i < whole; i += thread_count() * 4) {
            const Packed<float> x = load_packed(values + i);
            sum += (term(x[0]) + term(x[1])) + (term(x[2]) + term(x[3]));
        }
    }
    for (std::int64_t i = whole + thread_index(); i < count; i += thread_count()) sum += term(values[i]);
    return block_sum(sum, parts);
}

__global__ void sum_block(double* total, const float* values, std::int64_t count, double weight) {
    wait_for_previous_kernel();
    SharedMemory shared;
    auto* const parts = shared.take<double>(warp_size);
    const double sum = block_share(values, count, Identity{}, parts);
    if (threadIdx.x == 0) *total += weight * sum;
}

__global__ void squared_norm_parts(double* results, const float* x, std::int64_t count) {
    wait_for_previous_kernel();
    SharedMemory shared;
    auto* const parts = shared.take<double>(warp_size);
    const double sum = block_share(x, count, Square{}, parts);
    if (threadIdx.x == 0) results[blockIdx.x] = sum;
}

constexpr std::size_t sum_shared_bytes = shared_array_bytes(warp_size * sizeof(double));

// ---- sums of columns --------------------------------------------------------------------------------------

constexpr int column_threads = 256;
constexpr std::int64_t max_slices = 128;

template <class T, int each>
__device__ void add_elements(float (&sums)[each], const T* x) {
    if constexpr (each == Packed<T>::count) {
        const Packed<T> packed = load_packed(x);
#pragma unroll
        for (int i = 0; i < each; ++i) sums[i] += to_float(packed[i]);
    } else {
        static_assert(each == 1);
        sums[0] += to_float(*x);
    }
}

// results [slice, width] = column sums of rows [slice rows_per_slice, (slice + 1) rows_per_slice) of x, or
// results += ... of the only slice. Block (group, slice) takes `lanes` times `each` columns.
template <class T, int each>
__global__ void column_sum_slice(float* results, bool accumulate, const T* x, std::int64_t x_stride,
                                 std::int64_t rows, std::int64_t width, std::int64_t rows_per_slice,
                                 int lanes) {
    wait_for_previous_kernel();
    SharedMemory shared;
    auto* const parts = shared.take<float>(column_threads * each);  // [thread, each]
    const int thread = static_cast<int>(threadIdx.x), lane = thread % lanes, height = column_threads / lanes;
    const std::int64_t column = (static_cast<std::int64_t>(blockIdx.x) * lanes + lane) * each,
                       first = blockIdx.y * rows_per_slice, end = std::min(rows, first + rows_per_slice);
    float sums[each] = {};
    if (column < width) {
#pragma unroll 4
        for (std::int64_t row = first + thread / lanes; row < end; row += height)
            add_elements<T, each>(sums, x + row * x_stride + column);
    }
#pragma unroll
    for (int i = 0; i < each; ++i) parts[thread * each + i] = sums[i];
    __syncthreads();
    const int columns = lanes * each;
    for (int i = thread; i < columns; i += column_threads) {
        float sum = 0;
        for (int row = 0; row < height; ++row) sum += parts[row * columns + i];
        const std::int64_t c = static_cast<std::int64_t>(blockIdx.x) * columns + i;
        if (c >= width) continue;
        float& result = results[blockIdx.y * width + c];
        result = accumulate ? result + sum : sum;
    }
}

template <int each, class T>
void sum_columns(Stream stream, float* sums, float* workspace, const T* x, std::int64_t x_stride,
                 std::int64_t rows, std::int64_t width) {
    // as many threads side by side as a row needs, between 1 and a warp of them
    const std::int64_t needed = (width + each - 1) / each;
    const int lanes = static_cast<int>(
        std::bit_ceil(static_cast<std::uint64_t>(std::min<std::int64_t>(needed, warp_size))));
    constexpr std::int64_t rows_per_thread = 8;  // at least, where there are as many
    const std::int64_t least = column_threads / lanes * rows_per_thread;
    const std::int64_t wanted = std::clamp((rows + least - 1) / least, std::int64_t{1}, max_slices);
    const std::int64_t rows_per_slice = (rows + wanted - 1) / wanted;
    const auto slices = static_cast<unsigned>((rows + rows_per_slice - 1) / rows_per_slice);
    launch(column_sum_slice<T, each>, dim3(blocks_for(width, lanes * each), slices), column_threads,
           shared_array_bytes(column_threads * each * sizeof(float)), stream, slices > 1 ? workspace : sums,
           slices == 1, x, x_stride, rows, width, rows_per_slice, lanes);
    if (slices > 1) add_slices(stream, sums, workspace, width, slices, width);
}

}  // namespace

void sum_accumulate(Stream stream, double* total, const float* values, std::int64_t count, double weight) {
    launch(sum_block, 1, sum_threads, sum_shared_bytes, stream, total, values, count, weight);
}

void squared_norm_accumulate(Stream stream, double* total, double* workspace, const float* x,
                             std::int64_t count) {
    constexpr std::int64_t each = 16;  // elements per thread, at least
    const std::int64_t parts = std::min<std::int64_t>(max_parts, blocks_for(count, sum_threads * each));
    if (parts == 0) return;
    launch(squared_norm_parts, static_cast<unsigned>(parts), sum_threads, sum_shared_bytes, stream, workspace,
           x, count);
    add_parts(stream, total, workspace, parts);
}

std::int64_t squared_norm_workspace() {
    return max_parts;
}

template <class T>
void column_sum_accumulate(Stream stream, float* sums, float* workspace, const T* x, std::int64_t x_stride,
                           std::int64_t rows, std::int64_t width) {
    if (rows == 0) return;
    constexpr int each = Packed<T>::count;
    if (aligned(x) && x_stride % each == 0 && width % each == 0)
        sum_columns<each>(stream, sums, workspace, x, x_stride, rows, width);
    else
        sum_columns<1>(stream, sums, workspace, x, x_stride, rows, width);
}

std::int64_t column_sum_workspace(std::int64_t width) {
    return max_slices * width;
}

template void column_sum_accumulate(Stream, float*, float*, const float*, std::int64_t, std::int64_t,
                                    std::int64_t);
template void column_sum_accumulate(Stream, float*, float*, const bf16*, std::int64_t, std::int64_t,
                                    std::int64_t);

}  // namespace cuda
