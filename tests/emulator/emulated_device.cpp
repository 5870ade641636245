#include "tests/emulator/emulated_device.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <utility>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace emulator {
namespace {

constexpr std::size_t page = 4096, alignment = 256;
constexpr std::byte guard{0xA5};

// An allocation lies between two inaccessible pages, as close to the second as its alignment allows; the
// remaining bytes around it are guards.
struct Allocation {
    std::byte* mapped;  // the first guard page
    std::size_t mapped_bytes, bytes;
};

std::size_t guard_behind(std::size_t bytes) {
    return (bytes + alignment - 1) / alignment * alignment - bytes;
}

std::byte* pages_of(const Allocation& allocation) {
    return allocation.mapped + page;
}
std::size_t pages_bytes(const Allocation& allocation) {
    return allocation.mapped_bytes - 2 * page;
}
void protect(const Allocation& allocation, bool accessible) {
    ::mprotect(pages_of(allocation), pages_bytes(allocation),
               accessible ? PROT_READ | PROT_WRITE : PROT_NONE);
}

// At most `alignment` bytes before the allocation are checked.
std::size_t guard_before(const Allocation& allocation, const std::byte* begin) {
    return std::min(alignment, static_cast<std::size_t>(begin - pages_of(allocation)));
}

// For the address sanitizer, which reports accesses to guards itself.
void poison([[maybe_unused]] const std::byte* begin, [[maybe_unused]] const Allocation& allocation,
            [[maybe_unused]] bool yes) {
#ifdef __SANITIZE_ADDRESS__
    if (!yes) return __asan_unpoison_memory_region(pages_of(allocation), pages_bytes(allocation));
    __asan_poison_memory_region(pages_of(allocation), begin - pages_of(allocation));
    __asan_poison_memory_region(begin + allocation.bytes, guard_behind(allocation.bytes));
#endif
}

bool host_may_touch(std::size_t bytes_used) {
    constexpr std::size_t automatic_limit = 4 << 20;
    const HostAccess access = emulated_device().host;
    return access == HostAccess::allowed || (access == HostAccess::automatic && bytes_used > automatic_limit);
}

struct Memories {
    std::mutex mutex;
    std::map<const std::byte*, Allocation> device;  // by address
    std::map<const std::byte*, std::size_t> pinned;
    std::size_t used = 0;
    int open = 0;  // DeviceAccess objects
    bool accessible = true;

    void open_for_host(bool yes) {
        if (yes == accessible) return;
        accessible = yes;
        for (const auto& [begin, allocation] : device) protect(allocation, yes);
    }
};
Memories& memories() {
    static Memories all;
    return all;
}

std::size_t parse_bytes(const std::string& text) {
    std::size_t end = 0;
    const std::size_t number = std::stoull(text, &end);
    const std::string unit = text.substr(end);
    if (unit.empty()) return number;
    const std::size_t power = std::string("KMG").find(unit);
    if (unit.size() != 1 || power == std::string::npos) throw std::invalid_argument(text);
    return number << 10 * (power + 1);
}

ThreadOrder parse_order(const std::string& text) {
    if (text == "forward") return {Order::forward, 0};
    if (text == "reversed") return {Order::reversed, 0};
    if (text == "shuffled") return {Order::shuffled, 0};
    if (text.starts_with("shuffled:")) return {Order::shuffled, std::stoull(text.substr(9))};
    throw std::invalid_argument(text);
}

HostAccess parse_access(const std::string& text) {
    if (text == "allowed") return HostAccess::allowed;
    if (text == "denied") return HostAccess::denied;
    if (text == "automatic") return HostAccess::automatic;
    throw std::invalid_argument(text);
}

CublasLtMood parse_mood(const std::string& text) {
    if (text == "usual") return CublasLtMood::usual;
    if (text == "refused_epilogues") return CublasLtMood::refused_epilogues;
    if (text == "refused_products") return CublasLtMood::refused_products;
    if (text == "parts_by_rows") return CublasLtMood::parts_by_rows;
    if (text == "approximate_gelu") return CublasLtMood::approximate_gelu;
    throw std::invalid_argument(text);
}

// Source: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"; the number of
// multiprocessors and the L2 cache of the T4, A100, RTX 4090, H100 SXM and B200.
constexpr Card cards[] = {
    {7, 5, 64 << 10, 40, 1024, 16, 4 << 20},      {8, 0, 163 << 10, 108, 2048, 32, 40 << 20},
    {8, 9, 99 << 10, 128, 1536, 24, 72 << 20},    {9, 0, 227 << 10, 132, 2048, 32, 50 << 20},
    {10, 0, 227 << 10, 148, 2048, 32, 126 << 20},
};

void change(EmulatedDevice& device, const std::string& key, const std::string& value) {
    if (key == "devices") {
        device.devices = std::stoi(value);
    } else if (key == "capability") {
        const std::size_t point = value.find('.');
        device.major = std::stoi(value);
        device.minor = point == std::string::npos ? 0 : std::stoi(value.substr(point + 1));
    } else if (key == "memory") {
        device.memory = parse_bytes(value);
    } else if (key == "order") {
        device.order = parse_order(value);
    } else if (key == "host") {
        device.host = parse_access(value);
    } else if (key == "cublaslt") {
        device.cublaslt = parse_mood(value);
    } else {
        throw std::invalid_argument(key);
    }
}

EmulatedDevice emulated_device_of_environment() {
    const char* settings = std::getenv("EMULATED_DEVICE");
    try {
        return parse_emulated_device(settings != nullptr ? settings : "");
    } catch (const std::invalid_argument& error) {
        fmt::print(stderr, "EMULATED_DEVICE: {}\n", error.what());
        std::exit(2);
    }
}

std::string& the_report() {
    static std::string report;
    return report;
}

}  // namespace

EmulatedDevice parse_emulated_device(const std::string& settings) {
    EmulatedDevice device;
    std::istringstream stream(settings);
    for (std::string setting; std::getline(stream, setting, ',');) {
        const std::size_t equals = std::min(setting.find('='), setting.size() - 1);
        try {
            change(device, setting.substr(0, equals), setting.substr(equals + 1));
        } catch (const std::exception&) {
            throw std::invalid_argument("cannot read \"" + setting + "\"");
        }
    }
    return device;
}

const Card& card() {
    const EmulatedDevice& device = emulated_device();
    const Card* found = cards;
    for (const Card& each : cards)
        if (std::pair(each.major, each.minor) <= std::pair(device.major, device.minor)) found = &each;
    return *found;
}

EmulatedDevice& emulated_device() {
    static EmulatedDevice the_card = emulated_device_of_environment();
    return the_card;
}

void* allocate_device(std::size_t bytes) {
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    if (bytes > emulated_device().memory || all.used + bytes > emulated_device().memory) return nullptr;
    const std::size_t rounded = bytes + guard_behind(bytes), pages = (rounded + page - 1) / page * page;
    void* mapped =
        ::mmap(nullptr, pages + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    const Allocation allocation{static_cast<std::byte*>(mapped), pages + 2 * page, bytes};
    std::byte* const begin = pages_of(allocation) + pages - rounded;
    protect(allocation, true);
    poison(begin, allocation, false);
    std::memset(begin - guard_before(allocation, begin), std::to_integer<int>(guard),
                guard_before(allocation, begin));
    std::memset(begin, 0xFF, bytes);
    std::memset(begin + bytes, std::to_integer<int>(guard), rounded - bytes);
    poison(begin, allocation, true);
    all.used += bytes;
    if (all.open == 0) all.open_for_host(host_may_touch(all.used));
    if (!all.accessible) protect(allocation, false);
    all.device[begin] = allocation;
    return begin;
}

bool release_device(void* memory) {
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    const auto found = all.device.find(static_cast<const std::byte*>(memory));
    if (found == all.device.end()) return false;
    poison(found->first, found->second, false);
    ::munmap(found->second.mapped, found->second.mapped_bytes);
    all.used -= found->second.bytes;
    all.device.erase(found);
    return true;
}

std::size_t device_bytes_used() {
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    return all.used;
}

void* allocate_pinned(std::size_t bytes) {
    void* memory = std::aligned_alloc(page, (bytes + page - 1) / page * page);
    if (memory == nullptr) return nullptr;
    std::memset(memory, 0xFF, bytes);
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    all.pinned[static_cast<const std::byte*>(memory)] = bytes;
    return memory;
}

bool release_pinned(void* memory) {
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    if (all.pinned.erase(static_cast<const std::byte*>(memory)) == 0) return false;
    std::free(memory);
    return true;
}

namespace {

// The allocation whose address is the last at or before `address`.
template <class Map>
auto allocation_at(const Map& map, const std::byte* address) {
    auto next = map.upper_bound(address);
    return next == map.begin() ? map.end() : std::prev(next);
}

bool lies_in(const std::byte* begin, std::size_t size, const std::byte* address, std::size_t bytes) {
    const auto offset = static_cast<std::size_t>(address - begin);
    return offset <= size && bytes <= size - offset;
}

}  // namespace

Place place_of(const void* address, std::size_t bytes) {
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    const auto* at = static_cast<const std::byte*>(address);
    const auto device = allocation_at(all.device, at);
    if (device != all.device.end() && lies_in(device->first, device->second.bytes, at, bytes))
        return Place::device;
    const auto pinned = allocation_at(all.pinned, at);
    if (pinned != all.pinned.end() && lies_in(pinned->first, pinned->second, at, bytes)) return Place::pinned;
    return Place::host;
}

std::string describe(const void* address) {
    if (address == nullptr) return "the null pointer";
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    const auto* at = static_cast<const std::byte*>(address);
    const auto describe_in = [&](const Allocation& allocation, const std::byte* begin) -> std::string {
        if (at < allocation.mapped || at >= allocation.mapped + allocation.mapped_bytes) return "";
        if (at < begin)
            return fmt::format("{} bytes before an allocation of {}", begin - at, allocation.bytes);
        const auto offset = static_cast<std::size_t>(at - begin);
        if (offset < allocation.bytes)
            return fmt::format("byte {} of an allocation of {}", offset, allocation.bytes);
        return fmt::format("{} bytes behind the end of an allocation of {}", offset - allocation.bytes,
                           allocation.bytes);
    };
    for (const auto& [begin, allocation] : all.device)
        if (std::string words = describe_in(allocation, begin); !words.empty()) return words;
    return fmt::format("{}, which is no device memory", address);
}

std::string overwritten_guard() {
#ifndef __SANITIZE_ADDRESS__
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    for (const auto& [begin, allocation] : all.device) {
        for (std::size_t i = 1; i <= guard_before(allocation, begin); ++i)
            if (*(begin - i) != guard)
                return fmt::format("wrote {} bytes before an allocation of {}", i, allocation.bytes);
        for (std::size_t i = 0; i < guard_behind(allocation.bytes); ++i)
            if (begin[allocation.bytes + i] != guard)
                return fmt::format("wrote {} bytes behind the end of an allocation of {}", i,
                                   allocation.bytes);
    }
#endif
    return "";
}

void report(const std::string& message) {
    the_report() = message;
    if (emulated_device().quiet) return;
    fmt::print(stderr, "emulated device: {}\n", message);
    std::fflush(stderr);
}
const std::string& last_report() {
    return the_report();
}

DeviceAccess::DeviceAccess() {
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    if (all.open++ == 0) all.open_for_host(true);
}

DeviceAccess::~DeviceAccess() {
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    if (--all.open == 0) all.open_for_host(host_may_touch(all.used));
}

}  // namespace emulator
