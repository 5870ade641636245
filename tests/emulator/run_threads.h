// For tests of the emulated device: arrays of the device's memory, and functions as kernels.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <vector>

#include "kernels/common/ptx.cuh"

namespace emulator {

template <class T>
class DeviceArray {
  public:
    explicit DeviceArray(std::size_t count) : count_(count) { cudaMalloc(&memory_, count * sizeof(T)); }
    explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
        cudaMemcpy(memory_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice);
    }
    ~DeviceArray() { cudaFree(memory_); }
    DeviceArray(const DeviceArray&) = delete;
    DeviceArray& operator=(const DeviceArray&) = delete;

    T* data() const { return memory_; }
    std::vector<T> values() const {
        std::vector<T> values(count_);
        cudaMemcpy(values.data(), memory_, count_ * sizeof(T), cudaMemcpyDeviceToHost);
        return values;
    }

  private:
    std::size_t count_;
    T* memory_ = nullptr;
};

template <class Function>
__global__ void call(Function function) {
    function();
}

// Every thread calls function().
template <class Function>
cudaError_t run_threads(dim3 grid, dim3 block, std::size_t shared_bytes, Function function,
                        cudaStream_t stream = nullptr) {
    const cudaLaunchConfig_t config{grid, block, shared_bytes, stream, nullptr, 0};
    return cudaLaunchKernelEx(&config, call<Function>, function);
}

// Results of function(thread number) for the `threads` threads of one block.
template <class Function>
auto results_of(unsigned threads, Function function) {
    using T = decltype(function(0));
    const DeviceArray<T> results(threads);
    T* const out = results.data();
    run_threads(1, threads, 0, [=] { out[threadIdx.x] = function(static_cast<int>(threadIdx.x)); });
    return results.values();
}

}  // namespace emulator
