#include "runtime/device/device_cuda.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "runtime/base/error.h"
#include "runtime/device/architectures.h"

namespace cuda_device {
namespace {

std::string selected_name;

void check(cudaError_t result, const char* what) {
    if (result != cudaSuccess) fail("CUDA: {}: {}", what, cudaGetErrorString(result));
}

// Code for a capability runs on devices of the same major number and at least its minor number.
bool runs_on(int capability) {
    return std::ranges::any_of(built_architectures(), [&](int built) {
        return built / 100 == capability / 10 && built / 10 <= capability;
    });
}

// Before CUDA 12.3 a driver cannot load a kernel while a graph is recorded. So on these all kernels are loaded
// at the start and not, as is the default, each at its first launch; the variable counts until the first call
// that needs a device, which this is.
cudaError_t find_devices(int& devices) {
    int driver = 0;
    if (cudaDriverGetVersion(&driver) == cudaSuccess && driver < 12030)
        setenv("CUDA_MODULE_LOADING", "EAGER", 0);
    return cudaGetDeviceCount(&devices);
}

}  // namespace

int count() {
    int devices = 0;
    return find_devices(devices) == cudaSuccess ? devices : 0;
}

std::string name() {
    return selected_name;
}

void select(int index) {
    int devices = 0;
    const cudaError_t found = find_devices(devices);
    if (found != cudaSuccess || devices == 0)
        fail_usage("--device cuda: no CUDA device ({})",
                   found == cudaSuccess ? "the driver lists none" : cudaGetErrorString(found));
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, index % devices), "properties of the device");
    const int capability = 10 * properties.major + properties.minor;
    if (!runs_on(capability)) {
        std::string built;
        for (const int each : built_architectures())
            built += fmt::format("{}sm_{}", built.empty() ? "" : ", ", each / 10);
        fail_usage(
            "--device cuda: {} is an sm_{}, this build has code for {}; build with make CUDA=1 ARCH={}",
            properties.name, capability, built, capability);
    }
    check(cudaSetDevice(index % devices), "choosing the device");
    selected_name = properties.name;
}

void* allocate(std::size_t bytes) {
    void* memory = nullptr;
    if (cudaMalloc(&memory, bytes) != cudaSuccess) {
        cudaGetLastError();  // forget it: the caller may go on with less
        fail("out of device memory: {:.1f} MiB asked for, {:.1f} MiB free",
             static_cast<double>(bytes) / 0x1p20, static_cast<double>(free_bytes()) / 0x1p20);
    }
    fill(nullptr, memory, 0, bytes);
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

void synchronize() {
    check(cudaDeviceSynchronize(), "queued work");
}

void begin_recording(CUstream_st* stream) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording a graph");
}

CUgraphExec_st* end_recording(CUstream_st* stream, std::size_t& nodes) {
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream, &graph), "recording a graph");
    CUgraphExec_st* executable = nullptr;
    cudaError_t result = cudaGraphGetNodes(graph, nullptr, &nodes);
    if (result == cudaSuccess) result = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    check(result, "preparing a graph");
    return executable;
}

void forget_recording(CUstream_st* stream) noexcept {
    cudaGraph_t graph = nullptr;
    if (cudaStreamEndCapture(stream, &graph) == cudaSuccess) cudaGraphDestroy(graph);
    cudaGetLastError();  // clears the error of a failed capture: the failing call has reported it
}

void launch_graph(CUgraphExec_st* graph, CUstream_st* stream) {
    check(cudaGraphLaunch(graph, stream), "launch of a graph");
}

void destroy_graph(CUgraphExec_st* graph) noexcept {
    cudaGraphExecDestroy(graph);
}

namespace {

// The default stream waits for all others, and they for it.
void synchronize_default(CUstream_st* stream) {
    if (stream == nullptr) synchronize();
}

// Page-locked staging buffer, slot after slot, for a step's inputs from the host (masks, sequence ids,
// labels: some 100 KiB per chunk): copies from it are asynchronous, while a copy from pageable memory waits
// for all work queued before.
class Staging {
  public:
    static constexpr std::size_t slots = 32, slot_bytes = std::size_t{1} << 20;

    Staging() {
        check(cudaHostAlloc(reinterpret_cast<void**>(&memory_), slots * slot_bytes, cudaHostAllocDefault),
              "memory for copies to the device");
        for (cudaEvent_t& copied : copied_)
            check(cudaEventCreateWithFlags(&copied, cudaEventDisableTiming), "an event");
    }
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;

    void copy(CUstream_st* stream, void* destination, const void* host, std::size_t bytes) {
        if (bytes == 0) return;
        cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
        check(cudaStreamIsCapturing(stream, &status), "state of a stream");
        if (status != cudaStreamCaptureStatusNone) fail("CUDA: a copy from the host cannot be recorded");
        const std::size_t slot = next_++ % slots;
        if (next_ > slots) check(cudaEventSynchronize(copied_[slot]), "queued work");
        std::byte* const place = memory_ + slot * slot_bytes;
        std::memcpy(place, host, bytes);
        check(cudaMemcpyAsync(destination, place, bytes, cudaMemcpyHostToDevice, stream),
              "copy to the device");
        check(cudaEventRecord(copied_[slot], stream), "an event");
    }

  private:
    std::byte* memory_ = nullptr;
    std::array<cudaEvent_t, slots> copied_{};  // from the slot, by its latest use
    std::size_t next_ = 0;
};

// Never destroyed: the driver may be shut down before static objects are destroyed.
Staging& staging() {
    static Staging* const all = new Staging;
    return *all;
}

}  // namespace

CUstream_st* create_stream() {
    CUstream_st* stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
    return stream;
}

void destroy_stream(CUstream_st* stream) noexcept {
    cudaStreamDestroy(stream);
}

void copy_to(CUstream_st* stream, void* destination, const void* host, std::size_t bytes) {
    if (stream != nullptr && bytes <= Staging::slot_bytes)
        return staging().copy(stream, destination, host, bytes);
    synchronize_default(stream);
    // From pageable memory the call returns once the bytes have been staged, after the work queued before.
    check(cudaMemcpyAsync(destination, host, bytes, cudaMemcpyHostToDevice, stream), "copy to the device");
    synchronize_default(stream);
}

void copy_from(CUstream_st* stream, void* host, const void* source, std::size_t bytes) {
    synchronize_default(stream);
    check(cudaMemcpyAsync(host, source, bytes, cudaMemcpyDeviceToHost, stream), "copy from the device");
    check(cudaStreamSynchronize(stream), "queued work");
}

void copy_within(CUstream_st* stream, void* destination, const void* source, std::size_t bytes) {
    synchronize_default(stream);
    check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToDevice, stream),
          "copy on the device");
    synchronize_default(stream);
}

void fill(CUstream_st* stream, void* destination, int byte, std::size_t bytes) {
    synchronize_default(stream);
    check(cudaMemsetAsync(destination, byte, bytes, stream), "filling memory");
    synchronize_default(stream);
}

}  // namespace cuda_device
