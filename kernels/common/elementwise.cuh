// y_i = f(x_i, ...) over arrays of one length, each of float or bf16: the elementwise kernels' common loop.
//
// A thread takes a chunk of 8 elements (chunk.cuh): one 16-byte access per bf16 array and two per float
// array, all of them issued before the arithmetic. If an array is not 16-byte aligned or fewer than 8
// elements are left, they are accessed one by one; function and results are the same.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/common/chunk.cuh"

namespace cuda::elementwise_detail {

constexpr int block_threads = 256;

// function(inputs[0][i], inputs[1][i], ...)
template <class Function, int arrays, std::size_t... array>
__device__ float call(const Function& function, const Chunk (&inputs)[arrays], int i,
                      std::index_sequence<array...>) {
    return function(inputs[array][i]...);
}

template <class Y, class Function, class... X>
__global__ void apply(Y* y, std::int64_t count, Function function, const X*... x) {
    wait_for_previous_kernel();
    const std::int64_t first = thread_index() * chunk_size;
    if (first >= count) return;
    if (first + chunk_size <= count && aligned(y) && (aligned(x) && ...)) {
        const Chunk inputs[] = {load_chunk(x + first)...};
        Chunk results;
#pragma unroll
        for (int i = 0; i < chunk_size; ++i)
            results[i] = call(function, inputs, i, std::index_sequence_for<X...>());
        store_chunk(y + first, results);
    } else {
        for (std::int64_t i = first; i < count && i < first + chunk_size; ++i)
            y[i] = as<Y>(function(to_float(x[i])...));
    }
}

}  // namespace cuda::elementwise_detail

namespace cuda {

// Queues y_i = function(x_i...) for i < count. `function` takes and returns float; y may be one of the x.
template <class Y, class Function, class... X>
void elementwise(Stream stream, Y* y, std::int64_t count, Function function, const X*... x) {
    using namespace elementwise_detail;
    launch(apply<Y, Function, X...>, blocks_for(count, chunk_size * block_threads), block_threads, 0, stream,
           y, count, function, x...);
}

}  // namespace cuda
