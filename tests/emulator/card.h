// What the emulated card is, and its memory.
//
// The environment variable EMULATED_CARD changes the card of a whole program, settings separated by commas:
//
//   devices=0        no card in this machine
//   capability=7.5   another architecture (9.0)
//   memory=64M       another amount of memory, in bytes or with K, M, G (16G)
//   order=reversed   the order of threads: forward, reversed, shuffled or shuffled:SEED
//   host=open        the host may touch the card's memory, which it otherwise may not (faster)
#pragma once

#include <cstddef>
#include <string>

namespace emulator {

struct Card {
    int devices = 1;
    int major = 9, minor = 0;
    std::size_t memory = std::size_t{16} << 30;
    bool host_access = false;  // whether the host may touch the card's memory
};
// Changes of the card hold from the next call on.
Card& card();

// ---- memory of the card ---------------------------------------------------------------------------------

// Null if the card has not as much left. Filled with 0xFF: not a number.
void* allocate_device(std::size_t bytes);
bool release_device(void* memory);  // whether it was allocated
std::size_t device_bytes_used();
// Memory of the host that the card may read.
void* allocate_pinned(std::size_t bytes);
bool release_pinned(void* memory);

enum class Place { host, pinned, device };
// Where `bytes` bytes from `address` on lie; device only if all of them do. `address` may be the end of an
// allocation if `bytes` is 0.
Place place_of(const void* address, std::size_t bytes);
// What is wrong with these bytes as device memory, empty if nothing.
std::string device_fault(const void* address, std::size_t bytes);
// Bytes behind an allocation that were written, in words; empty if none were.
std::string overwritten_device_guard();

// While one of these lives, the card's memory can be touched.
class DeviceAccess {
  public:
    DeviceAccess();
    ~DeviceAccess();
    DeviceAccess(const DeviceAccess&) = delete;
    DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace emulator
