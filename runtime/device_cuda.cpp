#include "runtime/device_cuda.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <array>

#include "runtime/error.h"

namespace cuda_device {
namespace {

// Compute capabilities this build holds code for, as 10 major + minor: the Makefile's ARCH.
constexpr std::array architectures = {FRACTAL_CUDA_ARCHITECTURES};

void check(cudaError_t result, const char* what) {
    if (result != cudaSuccess) fail("CUDA: {}: {}", what, cudaGetErrorString(result));
}

// Code for a capability runs on devices of the same major number and at least its minor number.
bool runs_on(int capability) {
    return std::ranges::any_of(
        architectures, [&](int built) { return built / 10 == capability / 10 && built <= capability; });
}

}  // namespace

void select() {
    int count = 0;
    const cudaError_t found = cudaGetDeviceCount(&count);
    if (found != cudaSuccess || count == 0)
        fail_usage("--device cuda: no CUDA device ({})",
                   found == cudaSuccess ? "the driver lists none" : cudaGetErrorString(found));
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, 0), "properties of device 0");
    const int capability = 10 * properties.major + properties.minor;
    if (!runs_on(capability)) {
        std::string built;
        for (const int each : architectures) built += fmt::format("{}sm_{}", built.empty() ? "" : ", ", each);
        fail_usage(
            "--device cuda: {} is an sm_{}, this build has code for {}; build with make CUDA=1 ARCH={}",
            properties.name, capability, built, capability);
    }
    check(cudaSetDevice(0), "device 0");
}

void* allocate(std::size_t bytes) {
    void* memory = nullptr;
    if (cudaMalloc(&memory, bytes) != cudaSuccess) {
        cudaGetLastError();  // forget it: the caller may go on with less
        fail("out of device memory: {:.1f} MiB asked for, {:.1f} MiB free",
             static_cast<double>(bytes) / 0x1p20, static_cast<double>(free_bytes()) / 0x1p20);
    }
    fill(memory, 0, bytes);
    return memory;
}

void release(void* memory) noexcept {
    cudaFree(memory);
}

std::size_t free_bytes() {
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "free memory");
    return free;
}

void copy_to(void* destination, const void* host, std::size_t bytes) {
    check(cudaDeviceSynchronize(), "queued work");
    check(cudaMemcpy(destination, host, bytes, cudaMemcpyHostToDevice), "copy to the device");
}

void copy_from(void* host, const void* source, std::size_t bytes) {
    check(cudaDeviceSynchronize(), "queued work");
    check(cudaMemcpy(host, source, bytes, cudaMemcpyDeviceToHost), "copy from the device");
}

void fill(void* destination, int byte, std::size_t bytes) {
    check(cudaMemset(destination, byte, bytes), "filling memory");
    check(cudaDeviceSynchronize(), "queued work");
}

}  // namespace cuda_device
