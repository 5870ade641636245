#include "runtime/device/device.h"

#ifdef __SSE__
#include <immintrin.h>
#endif
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/device/cgroup.h"
#include "runtime/device/device_cuda.h"
#include "runtime/device/built_backends.h"

namespace {

void require_built(Device device) {
    if (device == Device::cuda && !cuda_backend_built)
        fail_usage("--device cuda: this build has no CUDA backend (built without nvcc)");
}

}  // namespace

Device select_device(std::string_view name, int gpu) {
    if (name != "cpu" && name != "cuda") fail_usage("--device {}: expected cpu or cuda", name);
    const Device device = name == "cpu" ? Device::cpu : Device::cuda;
    require_built(device);
    if constexpr (cuda_backend_built)
        if (device == Device::cuda) cuda_device::select(gpu);
    return device;
}

int gpu_count() {
    if constexpr (cuda_backend_built) return cuda_device::count();
    return 0;
}

Memory::Memory(Device device, std::size_t bytes) : device_(device), size_(bytes) {
    require_built(device);
    if (bytes == 0) return;
    if constexpr (cuda_backend_built) {
        if (device == Device::cuda) {
            data_ = static_cast<std::byte*>(cuda_device::allocate(bytes));
            return;
        }
    }
    void* mapped =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
        fail("out of memory: {:.1f} MiB cannot be reserved", static_cast<double>(bytes) / 0x1p20);
    ::madvise(mapped, bytes, MADV_HUGEPAGE);
    data_ = static_cast<std::byte*>(mapped);
}

Memory::~Memory() {
    if (data_ == nullptr) return;
    if constexpr (cuda_backend_built) {
        if (device_ == Device::cuda) {
            cuda_device::release(data_);
            return;
        }
    }
    ::munmap(data_, size_);
}

Memory::Memory(Memory&& other) noexcept
    : device_(other.device_),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

DeviceStream::DeviceStream(Device device) {
    require_built(device);
    if constexpr (cuda_backend_built) {
        if (device == Device::cuda) {
            constexpr std::size_t workspace_bytes = std::size_t{32}
                                                    << 20;  // cuBLASLt's recommendation for sm_90
            workspace_ = Memory(device, workspace_bytes);
            stream_ = {cuda_device::create_stream(), workspace_.data(), workspace_.size()};
        }
    }
}

DeviceStream::~DeviceStream() {
    if constexpr (cuda_backend_built)
        if (stream_.handle != nullptr) cuda_device::destroy_stream(stream_.handle);
}

Stream main_stream(Device device) {
    if (device == Device::cpu) return {};
    static const DeviceStream stream(device);
    return stream.get();
}

void copy_to_device(Device device, void* destination, const void* host, std::size_t bytes, Stream stream) {
    require_built(device);
    if (bytes == 0) return;
    if constexpr (cuda_backend_built)
        if (device == Device::cuda) return cuda_device::copy_to(stream.handle, destination, host, bytes);
    std::memcpy(destination, host, bytes);
}

void copy_from_device(Device device, void* host, const void* source, std::size_t bytes, Stream stream) {
    require_built(device);
    if (bytes == 0) return;
    if constexpr (cuda_backend_built)
        if (device == Device::cuda) return cuda_device::copy_from(stream.handle, host, source, bytes);
    std::memcpy(host, source, bytes);
}

void copy_within_device(Device device, void* destination, const void* source, std::size_t bytes,
                        Stream stream) {
    require_built(device);
    if (bytes == 0) return;
    if constexpr (cuda_backend_built)
        if (device == Device::cuda)
            return cuda_device::copy_within(stream.handle, destination, source, bytes);
    std::memcpy(destination, source, bytes);
}

void fill_on_device(Device device, void* destination, int byte, std::size_t bytes, Stream stream) {
    require_built(device);
    if (bytes == 0) return;
    if constexpr (cuda_backend_built)
        if (device == Device::cuda) return cuda_device::fill(stream.handle, destination, byte, bytes);
    std::memset(destination, byte, bytes);
}

void synchronize(Device device) {
    require_built(device);
    if constexpr (cuda_backend_built)
        if (device == Device::cuda) cuda_device::synchronize();
}

void flush_denormals() {
#ifdef __SSE__
    constexpr unsigned flush_results = 0x8000, flush_operands = 0x0040;
    _mm_setcsr(_mm_getcsr() | flush_results | flush_operands);
#endif
}

std::size_t available_memory(Device device) {
    require_built(device);
    if constexpr (cuda_backend_built)
        if (device == Device::cuda) return cuda_device::free_bytes();
    std::ifstream file("/proc/meminfo");
    std::string key, unit;
    std::size_t kibibytes = 0;
    while (file >> key >> kibibytes >> unit)
        if (key == "MemAvailable:") return std::min(kibibytes * 1024, control_group_headroom());
    fail("/proc/meminfo: no line MemAvailable");
}

std::size_t peak_resident_memory() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}
