// The CUDA runtime's calls on the emulated device: devices, memory, launches. Streams and graphs:
// streams.cpp.
#include <cuda_runtime.h>
#include <fmt/format.h>

#include <cstring>
#include <map>
#include <mutex>

#include "tests/emulator/calls.h"
#include "tests/emulator/emulated_device.h"
#include "tests/emulator/kernel_name.h"
#include "tests/emulator/scheduler.h"
#include "tests/emulator/streams.h"

using emulator::Place;

namespace {

thread_local cudaError_t last_error = cudaSuccess;

constexpr std::size_t shared_default = 48 * 1024;

struct ErrorText {
    cudaError_t error;
    const char *name, *text;
};
constexpr ErrorText error_texts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge",
     "operation would result in a merge of separate capture sequences"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
     "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {cudaErrorGraphExecUpdateFailure, "cudaErrorGraphExecUpdateFailure",
     "the graph update was not performed because it included changes which violated constraints specific to "
     "instantiated graph update"},
    {cudaErrorInvalidClusterSize, "cudaErrorInvalidClusterSize", "cluster misconfiguration"},
};

const ErrorText* text_of(cudaError_t error) {
    for (const ErrorText& each : error_texts)
        if (each.error == error) return &each;
    return nullptr;
}

std::mutex attributes_mutex;
// Of kernels, by cudaFuncSetAttribute.
std::map<const void*, std::size_t> shared_limits;
std::map<const void*, bool> large_clusters;

std::size_t shared_limit(const void* kernel) {
    const std::lock_guard lock(attributes_mutex);
    const auto found = shared_limits.find(kernel);
    return found == shared_limits.end() ? shared_default : found->second;
}

// Blocks of a launch's clusters; 0 if the device or the kernel has no such clusters. Source: CUDA C++ Programming
// Guide, "Thread Block Clusters": 8 blocks on every device from 9.0 on, more where the kernel allows them.
unsigned cluster_of(const cudaLaunchConfig_t& config, const void* kernel) {
    constexpr unsigned portable = 8, most = 16;
    unsigned blocks = 1;
    for (unsigned i = 0; i < config.numAttrs; ++i) {
        if (config.attrs[i].id != cudaLaunchAttributeClusterDimension) continue;
        const auto& size = config.attrs[i].val.clusterDim;
        if (emulator::emulated_device().major < 9 || size.y != 1 || size.z != 1) return 0;
        blocks = size.x;
    }
    const std::lock_guard lock(attributes_mutex);
    const auto found = large_clusters.find(kernel);
    return blocks > (found != large_clusters.end() && found->second ? most : portable) ? 0 : blocks;
}

cudaError_t need_device() {
    return emulator::emulated_device().devices == 0 ? cudaErrorNoDevice : cudaSuccess;
}

cudaError_t fault(const std::string& message, cudaError_t error) {
    emulator::report(message);
    return emulator::remember(error);
}

// Bytes that are not device memory, or not all of them.
std::string range(const void* address, std::size_t bytes) {
    return fmt::format("{} bytes from {} on", bytes, emulator::describe(address));
}

// Memory required on either side of a copy of this kind.
cudaError_t check_copy(const void* destination, const void* source, std::size_t bytes, cudaMemcpyKind kind) {
    if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
    if (bytes == 0) return cudaSuccess;
    if (destination == nullptr || source == nullptr) return cudaErrorInvalidValue;
    const bool either = kind == cudaMemcpyDefault, to_device = kind & 1, from_device = kind & 2;
    const auto wrong = [&](const void* address, bool device) {
        const bool starts_there = emulator::place_of(address, 1) == Place::device;
        return device || (either && starts_there) ? emulator::place_of(address, bytes) != Place::device
                                                  : starts_there && !either;
    };
    const auto report = [&](const void* address, bool device, const char* what) {
        return fault(device || either ? fmt::format("a copy's {}: {}", what, range(address, bytes))
                                      : fmt::format("a copy's {} is device memory, not the host's", what),
                     cudaErrorInvalidValue);
    };
    static_assert(cudaMemcpyHostToDevice == 1 && cudaMemcpyDeviceToHost == 2 &&
                  cudaMemcpyDeviceToDevice == 3);
    if (wrong(destination, to_device)) return report(destination, to_device, "destination");
    if (wrong(source, from_device)) return report(source, from_device, "source");
    return cudaSuccess;
}

}  // namespace

emulator::Calls& emulator::calls() {
    static Calls all;
    return all;
}

cudaError_t emulator::remember(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}
using emulator::remember;

const char* cudaGetErrorString(cudaError_t error) {
    const ErrorText* text = text_of(error);
    return text != nullptr ? text->text : "unrecognized error code";
}
const char* cudaGetErrorName(cudaError_t error) {
    const ErrorText* text = text_of(error);
    return text != nullptr ? text->name : "unrecognized error code";
}
cudaError_t cudaGetLastError() {
    return std::exchange(last_error, cudaSuccess);
}
cudaError_t cudaPeekAtLastError() {
    return last_error;
}

// ---- device ---------------------------------------------------------------------------------------------

cudaError_t cudaGetDeviceCount(int* count) {
    *count = emulator::emulated_device().devices;
    return remember(need_device());
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    const emulator::EmulatedDevice& emulated = emulator::emulated_device();
    if (device < 0 || device >= emulated.devices) return remember(cudaErrorInvalidDevice);
    const emulator::Card& card = emulator::card();
    *properties = {};
    std::strcpy(properties->name, "emulated device");
    properties->totalGlobalMem = emulated.memory;
    properties->sharedMemPerBlock = shared_default;
    properties->sharedMemPerBlockOptin = card.shared_most;
    properties->reservedSharedMemPerBlock = 1024;
    properties->sharedMemPerMultiprocessor = card.shared_most + 1024;
    properties->regsPerBlock = properties->regsPerMultiprocessor = 65536;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->maxThreadsPerMultiProcessor = card.threads;
    properties->maxBlocksPerMultiProcessor = card.blocks;
    properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = 1024;
    properties->maxThreadsDim[2] = 64;
    properties->maxGridSize[0] = 0x7FFFFFFF;
    properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
    properties->major = emulated.major;
    properties->minor = emulated.minor;
    properties->multiProcessorCount = card.multiprocessors;
    properties->l2CacheSize = card.l2_bytes;
    properties->memoryBusWidth = 5120;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    cudaDeviceProp properties;
    if (const cudaError_t result = cudaGetDeviceProperties(&properties, device); result != cudaSuccess)
        return result;
    switch (attribute) {
        case cudaDevAttrMaxThreadsPerBlock:
            *value = properties.maxThreadsPerBlock;
            break;
        case cudaDevAttrMaxSharedMemoryPerBlock:
            *value = static_cast<int>(properties.sharedMemPerBlock);
            break;
        case cudaDevAttrClockRate:
            *value = 1980000;
            break;
        case cudaDevAttrMultiProcessorCount:
            *value = properties.multiProcessorCount;
            break;
        case cudaDevAttrMemoryClockRate:
            *value = 2619000;
            break;
        case cudaDevAttrL2CacheSize:
            *value = properties.l2CacheSize;
            break;
        case cudaDevAttrComputeCapabilityMajor:
            *value = properties.major;
            break;
        case cudaDevAttrComputeCapabilityMinor:
            *value = properties.minor;
            break;
        case cudaDevAttrClusterLaunch:
            *value = properties.major >= 9 ? 1 : 0;
            break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
            *value = static_cast<int>(properties.sharedMemPerBlockOptin);
            break;
        default:
            return remember(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    if (const cudaError_t result = need_device(); result != cudaSuccess) return remember(result);
    return remember(device < 0 || device >= emulator::emulated_device().devices ? cudaErrorInvalidDevice
                                                                                : cudaSuccess);
}
cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return remember(need_device());
}
cudaError_t cudaDriverGetVersion(int* version) {
    *version = emulator::emulated_device().driver;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
    ++emulator::calls().synchronizations;
    if (const cudaError_t result = need_device(); result != cudaSuccess) return remember(result);
    return remember(emulator::forbid_in_capture());
}

// ---- memory ---------------------------------------------------------------------------------------------

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
    if (memory == nullptr) return remember(cudaErrorInvalidValue);
    if (const cudaError_t result = need_device(); result != cudaSuccess) return remember(result);
    if (const cudaError_t result = emulator::forbid_in_capture(); result != cudaSuccess)
        return remember(result);
    *memory = nullptr;
    if (bytes == 0) return cudaSuccess;
    ++emulator::calls().allocations;
    *memory = emulator::allocate_device(bytes);
    return remember(*memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess);
}

cudaError_t cudaFree(void* memory) {
    if (memory == nullptr) return cudaSuccess;
    if (const cudaError_t result = emulator::forbid_in_capture(); result != cudaSuccess)
        return remember(result);
    return remember(emulator::release_device(memory) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
    if (memory == nullptr) return remember(cudaErrorInvalidValue);
    if (const cudaError_t result = need_device(); result != cudaSuccess) return remember(result);
    if (const cudaError_t result = emulator::forbid_in_capture(); result != cudaSuccess)
        return remember(result);
    *memory = bytes == 0 ? nullptr : emulator::allocate_pinned(bytes);
    return remember(bytes != 0 && *memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess);
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
    return cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
}
cudaError_t cudaFreeHost(void* memory) {
    if (memory == nullptr) return cudaSuccess;
    return remember(emulator::release_pinned(memory) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaMemcpyAsync(void* destination, const void* source, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    if (const cudaError_t result = check_copy(destination, source, bytes, kind); result != cudaSuccess)
        return remember(result);
    if (kind != cudaMemcpyDeviceToDevice) {
        cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
        cudaStreamIsCapturing(stream, &status);
        ++emulator::calls().host_copies;
        if (status == cudaStreamCaptureStatusActive) ++emulator::calls().recorded_host_copies;
    }
    return remember(emulator::submit(stream, [=] {
        const emulator::DeviceAccess access;
        ++emulator::calls().nodes;
        if (bytes != 0) std::memmove(destination, source, bytes);
        return cudaSuccess;
    }));
}
cudaError_t cudaMemcpy(void* destination, const void* source, std::size_t bytes, cudaMemcpyKind kind) {
    if (const cudaError_t result = emulator::forbid_in_capture(); result != cudaSuccess)
        return remember(result);
    return cudaMemcpyAsync(destination, source, bytes, kind, nullptr);
}

cudaError_t cudaMemsetAsync(void* memory, int byte, std::size_t bytes, cudaStream_t stream) {
    if (bytes != 0 && emulator::place_of(memory, bytes) != Place::device)
        return fault("cudaMemset: " + range(memory, bytes), cudaErrorInvalidValue);
    return remember(emulator::submit(stream, [=] {
        const emulator::DeviceAccess access;
        ++emulator::calls().nodes;
        if (bytes != 0) std::memset(memory, byte, bytes);
        return cudaSuccess;
    }));
}
cudaError_t cudaMemset(void* memory, int byte, std::size_t bytes) {
    if (const cudaError_t result = emulator::forbid_in_capture(); result != cudaSuccess)
        return remember(result);
    return cudaMemsetAsync(memory, byte, bytes, nullptr);
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
    if (const cudaError_t result = need_device(); result != cudaSuccess) return remember(result);
    const std::size_t used = emulator::device_bytes_used();
    *total = emulator::emulated_device().memory;
    *free = *total > used ? *total - used : 0;
    return cudaSuccess;
}

// ---- launches -------------------------------------------------------------------------------------------

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
    if (attribute == cudaFuncAttributeNonPortableClusterSizeAllowed) {
        if (emulator::emulated_device().major < 9) return remember(cudaErrorInvalidValue);
        const std::lock_guard lock(attributes_mutex);
        large_clusters[kernel] = value != 0;
    }
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    if (value < 0 || static_cast<std::size_t>(value) > emulator::card().shared_most)
        return remember(cudaErrorInvalidValue);
    const std::lock_guard lock(attributes_mutex);
    shared_limits[kernel] = static_cast<std::size_t>(value);
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
    *attributes = {};
    attributes->maxThreadsPerBlock = 1024;
    attributes->numRegs = 32;
    attributes->ptxVersion = attributes->binaryVersion =
        10 * emulator::emulated_device().major + emulator::emulated_device().minor;
    attributes->maxDynamicSharedSizeBytes = static_cast<int>(shared_limit(kernel));
    return cudaSuccess;
}

// A block takes a multiprocessor, and a cluster lies in one of the parts of at most 16 of them.
cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void* kernel,
                                           const cudaLaunchConfig_t* config) {
    constexpr int part = 16;
    const unsigned blocks = cluster_of(*config, kernel);
    if (blocks == 0 || config->dynamicSmemBytes > shared_limit(kernel))
        return remember(cudaErrorInvalidClusterSize);
    *clusters = emulator::card().multiprocessors / part * (part / static_cast<int>(blocks));
    return cudaSuccess;
}

namespace emulator {

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> call,
                   std::vector<PointerArgument> pointers) {
    if (const cudaError_t result = need_device(); result != cudaSuccess) return remember(result);
    const dim3 grid = config.gridDim, block = config.blockDim;
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7FFFFFFF || grid.y > 65535 ||
        grid.z > 65535 || block.x == 0 || block.y == 0 || block.z == 0 || block.x > 1024 || block.y > 1024 ||
        block.z > 64 || block.x * block.y * block.z > 1024)
        return remember(cudaErrorInvalidConfiguration);
    if (config.dynamicSmemBytes > shared_limit(kernel)) return remember(cudaErrorInvalidValue);
    for (const PointerArgument& pointer : pointers)
        if (pointer.address != nullptr && place_of(pointer.address, 0) == Place::host)
            return fault(fmt::format("kernel {}: argument {} points to {}", kernel_name(kernel),
                                     pointer.number, describe(pointer.address)),
                         cudaErrorIllegalAddress);
    const unsigned cluster = cluster_of(config, kernel);
    if (cluster == 0 || grid.x % cluster != 0) return remember(cudaErrorInvalidClusterSize);
    bool early = false;
    for (unsigned i = 0; i < config.numAttrs; ++i) {
        if (config.attrs[i].id == cudaLaunchAttributeClusterDimension) continue;
        if (config.attrs[i].id != cudaLaunchAttributeProgrammaticStreamSerialization ||
            emulated_device().major < 9)
            return remember(cudaErrorNotSupported);
        early = config.attrs[i].val.programmaticStreamSerializationAllowed != 0;
    }
    Grid work{grid, block, config.dynamicSmemBytes, std::move(call), cluster};
    return remember(submit(config.stream, [kernel, early, work = std::move(work)]() mutable {
        PreviousKernel previous;
        if (early)
            work.previous = &previous;
        else
            previous.end();
        ++calls().nodes;
        Failure failure = run(work);
        if (failure.message.empty()) failure.message = overwritten_guard();
        if (failure.message.empty()) return cudaSuccess;
        return fault(fmt::format("kernel {}: {}", kernel_name(kernel), failure.message),
                     failure.address ? cudaErrorIllegalAddress : cudaErrorLaunchFailure);
    }));
}

}  // namespace emulator
