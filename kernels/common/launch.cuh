// Launches of kernels, and checks of the CUDA runtime's error codes.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernels/common/ptx.cuh"
#include "kernels/common/stream.h"

namespace cuda {

// Throws std::runtime_error with `what` and CUDA's error string, unless `result` is success.
inline void check(cudaError_t result, const char* what) {
    if (result != cudaSuccess)
        throw std::runtime_error(std::string("CUDA: ") + what + ": " + cudaGetErrorString(result));
}

// Blocks of `per_block` things each that hold `count` of them. Throws if a grid cannot have so many.
inline unsigned blocks_for(std::int64_t count, std::int64_t per_block) {
    const std::int64_t blocks = (count + per_block - 1) / per_block;
    if (blocks > INT32_MAX) throw std::runtime_error("CUDA: a grid of more than 2^31 - 1 blocks");
    return static_cast<unsigned>(blocks);
}

// Dynamic shared memory in bytes that needs no opt-in; launch() opts in beyond it.
constexpr std::size_t default_shared_bytes = 48 * 1024;

// Whether the current device has programmatic dependent launch, and a driver that also records it in graphs.
inline bool has_dependent_launch() {
    constexpr int first_capability = 9, first_driver = 12030;
    int device = 0, capability = 0, driver = 0;
    check(cudaGetDevice(&device), "current device");
    check(cudaDeviceGetAttribute(&capability, cudaDevAttrComputeCapabilityMajor, device),
          "compute capability");
    check(cudaDriverGetVersion(&driver), "version of the driver");
    return capability >= first_capability && driver >= first_driver;
}

// Opts a kernel in to that much.
template <class... Parameters>
void allow_shared_bytes(void (*kernel)(Parameters...), std::size_t shared_bytes) {
    if (shared_bytes > default_shared_bytes)
        check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(shared_bytes)),
              "shared memory of a kernel");
}

// Of a launch that may start before the kernel in front of it has ended, where has_dependent_launch().
inline cudaLaunchAttribute early_start() {
    cudaLaunchAttribute early{};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    return early;
}

// Queues kernel<<<grid, block, shared_bytes, stream>>>(arguments...); a grid of no blocks is no launch. The
// kernel may start before the one in front of it has ended: wait_for_previous_kernel (ptx.cuh) is its first
// statement.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, Stream stream,
            Arguments... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
    allow_shared_bytes(kernel, shared_bytes);
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream.handle;
    cudaLaunchAttribute early = early_start();
    config.attrs = &early;
    config.numAttrs = has_dependent_launch() ? 1 : 0;
    check(cudaLaunchKernelEx(&config, kernel, arguments...), "launch of a kernel");
}

}  // namespace cuda
