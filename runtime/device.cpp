#include "runtime/device.h"

#ifdef __SSE__
#include <immintrin.h>
#endif
#include <sys/mman.h>
#include <sys/resource.h>

#include <fstream>
#include <string>
#include <utility>

#include "runtime/error.h"

Device parse_device(std::string_view name) {
    if (name == "cpu") return Device::cpu;
    fail_usage("--device {}: this build has the device cpu only", name);
}

Memory::Memory(Device, std::size_t bytes) : size_(bytes) {
    if (bytes == 0) return;
    void* mapped =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
        fail("out of memory: {:.1f} MiB cannot be reserved", static_cast<double>(bytes) / 0x1p20);
    ::madvise(mapped, bytes, MADV_HUGEPAGE);
    data_ = static_cast<std::byte*>(mapped);
}

Memory::~Memory() {
    if (data_ != nullptr) ::munmap(data_, size_);
}

Memory::Memory(Memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

void flush_denormals() {
#ifdef __SSE__
    constexpr unsigned flush_results = 0x8000, flush_operands = 0x0040;
    _mm_setcsr(_mm_getcsr() | flush_results | flush_operands);
#endif
}

std::size_t available_memory(Device) {
    std::ifstream file("/proc/meminfo");
    std::string key, unit;
    std::size_t kibibytes = 0;
    while (file >> key >> kibibytes >> unit)
        if (key == "MemAvailable:") return kibibytes * 1024;
    fail("/proc/meminfo: no line MemAvailable");
}

std::size_t peak_resident_memory() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}
