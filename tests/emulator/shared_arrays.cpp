#include "tests/emulator/shared_arrays.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#include "tests/emulator/fiber.h"
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace emulator {
namespace {

constexpr std::size_t room = std::size_t{2} << 20, guard_bytes = 64;
constexpr unsigned char guard[4] = {0xA5, 0xFF, 0xA5, 0xFF};  // not a number, as float and as bf16

std::size_t rounded(std::size_t bytes) {
    return (bytes + 15) / 16 * 16;
}

std::byte* map_room() {
    void* memory =
        ::mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return static_cast<std::byte*>(memory);
}

}  // namespace

SharedArrays::SharedArrays() : memory_(map_room()) {}

SharedArrays::~SharedArrays() {
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(memory_, room);
#endif
    ::munmap(memory_, room);
}

void SharedArrays::clear(std::size_t limit) {
    if (thread_sanitizer() && used_ > 0) {
        // Another block's shared memory is fresh memory: remapped, uninitialised.
        const std::size_t pages = (used_ + guard_bytes + 4095) / 4096 * 4096;
        if (::mmap(memory_, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
            MAP_FAILED)
            throw std::bad_alloc();
    }
    limit_ = limit;
    taken_ = used_ = 0;
    arrays_.clear();
}

void* SharedArrays::take(int index, std::size_t bytes, std::size_t element_bytes, std::string& problem) {
    const Unseen unseen;
    if (static_cast<std::size_t>(index) < arrays_.size()) {
        const Array& array = arrays_[static_cast<std::size_t>(index)];
        if (array.bytes == bytes && array.element_bytes == element_bytes) return memory_ + array.offset;
        problem = fmt::format(
            "shared array {} has {} bytes in elements of {} for this thread, {} in elements of {} for "
            "another",
            index, bytes, element_bytes, array.bytes, array.element_bytes);
        return nullptr;
    }
    taken_ += rounded(bytes);
    if (taken_ > limit_) {
        problem = fmt::format("takes {} bytes of shared memory, the launch gave {}", taken_, limit_);
        return nullptr;
    }
    const Array array{used_ + guard_bytes, bytes, element_bytes};
    const std::size_t end = array.offset + rounded(bytes) + guard_bytes;
    if (end > room) {
        problem = "takes more shared arrays than the emulated device has room for";
        return nullptr;
    }
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(memory_ + used_, end - used_);
#endif
    for (std::size_t at = used_; at < end; at += sizeof guard) std::memcpy(memory_ + at, guard, sizeof guard);
    std::memset(memory_ + array.offset, 0xFF, bytes);
#ifdef __SANITIZE_ADDRESS__
    __asan_poison_memory_region(memory_ + used_, guard_bytes);
    __asan_poison_memory_region(memory_ + array.offset + bytes, end - array.offset - bytes);
#endif
    arrays_.push_back(array);
    used_ = end - guard_bytes;  // this guard is also the next array's
    return memory_ + array.offset;
}

std::size_t SharedArrays::offset(const void* address) const {
    return reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(memory_);
}

std::byte* SharedArrays::at(std::size_t offset, std::size_t bytes) const {
    for (const Array& array : arrays_)
        if (offset >= array.offset && offset + bytes <= array.offset + array.bytes) return memory_ + offset;
    return nullptr;
}

void SharedArrays::publish() {
    published_.resize(used_);
    for (const Array& array : arrays_)
        std::memcpy(published_.data() + array.offset, memory_ + array.offset, array.bytes);
}

const std::byte* SharedArrays::published(const std::byte* address) const {
    return published_.data() + offset(address);
}

std::string SharedArrays::overwritten() const {
#ifndef __SANITIZE_ADDRESS__
    const auto intact = [&](std::size_t at) {
        return std::to_integer<unsigned char>(memory_[at]) == guard[at % sizeof guard];
    };
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
        const Array& array = arrays_[i];
        for (std::size_t back = 1; back <= guard_bytes && i == 0; ++back)
            if (!intact(array.offset - back))
                return fmt::format("wrote {} bytes before shared array 0", back);
        const std::size_t behind = array.offset + array.bytes;
        for (std::size_t at = behind; at < array.offset + rounded(array.bytes) + guard_bytes; ++at)
            if (!intact(at))
                return fmt::format("wrote {} bytes behind the end of shared array {}, of {} bytes",
                                   at - behind, i, array.bytes);
    }
#endif
    return "";
}

}  // namespace emulator
