// y_i = f(x_i, ...) over arrays of one length, each of float or bf16: what the elementwise kernels share.
//
// A thread takes 8 elements: one 16-byte access per bf16 array and two per float array, all of them started
// before the arithmetic. Where an array is not 16-byte aligned or fewer than 8 elements are left, it takes
// them one by one; the function is the same, so the results are.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/device_math.cuh"
#include "kernels/launch.cuh"
#include "kernels/ptx.cuh"

namespace cuda::elementwise_detail {

constexpr int per_thread = 8, block_threads = 256;

template <class T>
__device__ void load(float (&values)[per_thread], const T* from) {
#pragma unroll
    for (int i = 0; i < per_thread; i += Packed<T>::count) {
        const Packed<T> packed = load_packed(from + i);
#pragma unroll
        for (int j = 0; j < Packed<T>::count; ++j) values[i + j] = to_float(packed[j]);
    }
}

template <class T>
__device__ void store(T* to, const float (&values)[per_thread]) {
#pragma unroll
    for (int i = 0; i < per_thread; i += Packed<T>::count) {
        Packed<T> packed;
#pragma unroll
        for (int j = 0; j < Packed<T>::count; ++j) packed[j] = as<T>(values[i + j]);
        store_packed(to + i, packed);
    }
}

__device__ inline bool aligned(const void* address) {
    return reinterpret_cast<std::uintptr_t>(address) % 16 == 0;
}

// function(inputs[0][i], inputs[1][i], ...)
template <class Function, int arrays, std::size_t... array>
__device__ float call(const Function& function, const float (&inputs)[arrays][per_thread], int i,
                      std::index_sequence<array...>) {
    return function(inputs[array][i]...);
}

template <class Y, class Function, class... X>
__global__ void apply(Y* y, std::int64_t count, Function function, const X*... x) {
    const std::int64_t first = thread_index() * per_thread;
    if (first >= count) return;
    if (first + per_thread <= count && aligned(y) && (aligned(x) && ...)) {
        float inputs[sizeof...(X)][per_thread], results[per_thread];
        int array = 0;
        (load(inputs[array++], x + first), ...);
#pragma unroll
        for (int i = 0; i < per_thread; ++i)
            results[i] = call(function, inputs, i, std::index_sequence_for<X...>());
        store(y + first, results);
    } else {
        for (std::int64_t i = first; i < count && i < first + per_thread; ++i)
            y[i] = as<Y>(function(to_float(x[i])...));
    }
}

}  // namespace cuda::elementwise_detail

namespace cuda {

// Queues y_i = function(x_i...) for i < count. `function` takes and returns float; y may be one of the x.
template <class Y, class Function, class... X>
void elementwise(Stream stream, Y* y, std::int64_t count, Function function, const X*... x) {
    using namespace elementwise_detail;
    launch(apply<Y, Function, X...>, blocks_for(count, per_thread * block_threads), block_threads, 0, stream,
           y, count, function, x...);
}

}  // namespace cuda
