#include "tests/emulator/card.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>

#include "tests/emulator/scheduler.h"

namespace emulator {
namespace {

constexpr std::size_t page = 4096, alignment = 256;
constexpr int guard_byte = 0xA5;

// An allocation ends in a page that nobody may touch, and starts behind one. Between its end and that page
// are less than `alignment` bytes of guard.
struct Allocation {
    std::byte* mapped;  // the first guard page
    std::size_t mapped_bytes, bytes;
};

std::size_t guard_behind(std::size_t bytes) {
    return (bytes + alignment - 1) / alignment * alignment - bytes;
}

struct Memories {
    std::mutex mutex;
    std::map<const std::byte*, Allocation> device;  // by address
    std::map<const std::byte*, std::size_t> pinned;
    std::size_t used = 0;
    int open = 0;  // DeviceAccess objects
};
Memories& memories() {
    static Memories all;
    return all;
}

std::byte* pages_of(const Allocation& allocation) {
    return allocation.mapped + page;
}
std::size_t pages_bytes(const Allocation& allocation) {
    return allocation.mapped_bytes - 2 * page;
}
void protect(const Allocation& allocation, int access) {
    ::mprotect(pages_of(allocation), pages_bytes(allocation), access);
}

std::size_t parse_bytes(const std::string& text) {
    std::size_t end = 0;
    const std::size_t number = std::stoull(text, &end);
    const std::string unit = text.substr(end);
    return number << (unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : 0);
}

Card card_of_environment() {
    Card card;
    const char* settings = std::getenv("EMULATED_CARD");
    std::istringstream stream(settings != nullptr ? settings : "");
    for (std::string setting; std::getline(stream, setting, ',');) {
        const std::size_t equals = setting.find('=');
        const std::string key = setting.substr(0, equals),
                          value = equals == std::string::npos ? "" : setting.substr(equals + 1);
        if (key == "devices") {
            card.devices = std::stoi(value);
        } else if (key == "capability") {
            card.major = std::stoi(value);
            card.minor =
                value.find('.') == std::string::npos ? 0 : std::stoi(value.substr(value.find('.') + 1));
        } else if (key == "memory") {
            card.memory = parse_bytes(value);
        } else if (key == "host" && value == "open") {
            card.host_access = true;
        } else if (key == "order" && value == "forward") {
            set_thread_order(Order::forward);
        } else if (key == "order" && value == "reversed") {
            set_thread_order(Order::reversed);
        } else if (key == "order" && value.rfind("shuffled", 0) == 0) {
            set_thread_order(Order::shuffled, value.size() > 9 ? std::stoull(value.substr(9)) : 0);
        } else {
            fmt::print(stderr, "EMULATED_CARD: unknown setting {}\n", setting);
            std::exit(2);
        }
    }
    return card;
}

}  // namespace

Card& card() {
    static Card the_card = card_of_environment();
    return the_card;
}

void* allocate_device(std::size_t bytes) {
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    if (bytes > card().memory || all.used + bytes > card().memory) return nullptr;
    const std::size_t rounded = bytes + guard_behind(bytes), pages = (rounded + page - 1) / page * page;
    void* mapped =
        ::mmap(nullptr, pages + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    const Allocation allocation{static_cast<std::byte*>(mapped), pages + 2 * page, bytes};
    std::byte* const begin = pages_of(allocation) + pages - rounded;
    protect(allocation, PROT_READ | PROT_WRITE);
    std::memset(begin, 0xFF, bytes);
    std::memset(begin + bytes, guard_byte, rounded - bytes);
    if (all.open == 0 && !card().host_access) protect(allocation, PROT_NONE);
    all.device[begin] = allocation;
    all.used += bytes;
    return begin;
}

bool release_device(void* memory) {
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    const auto found = all.device.find(static_cast<const std::byte*>(memory));
    if (found == all.device.end()) return false;
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

std::string device_fault(const void* address, std::size_t bytes) {
    if (place_of(address, bytes) == Place::device) return "";
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    const auto* at = static_cast<const std::byte*>(address);
    const auto device = allocation_at(all.device, at);
    if (device == all.device.end() || !lies_in(device->first, device->second.bytes, at, 0))
        return fmt::format("{} is not device memory", address);
    return fmt::format("{} bytes from byte {} on of an allocation of {}", bytes, at - device->first,
                       device->second.bytes);
}

std::string overwritten_device_guard() {
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    for (const auto& [begin, allocation] : all.device)
        for (std::size_t i = 0; i < guard_behind(allocation.bytes); ++i)
            if (begin[allocation.bytes + i] != std::byte{guard_byte})
                return fmt::format("wrote {} bytes behind an allocation of {}", i, allocation.bytes);
    return "";
}

DeviceAccess::DeviceAccess() {
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    if (all.open++ == 0 && !card().host_access)
        for (const auto& [begin, allocation] : all.device) protect(allocation, PROT_READ | PROT_WRITE);
}

DeviceAccess::~DeviceAccess() {
    Memories& all = memories();
    const std::lock_guard lock(all.mutex);
    if (--all.open == 0 && !card().host_access)
        for (const auto& [begin, allocation] : all.device) protect(allocation, PROT_NONE);
}

}  // namespace emulator
