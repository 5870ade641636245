// The emulated device: its settings and its memory.
//
// The environment variable EMULATED_DEVICE changes the device of a whole program, settings separated by
// commas:
//
//   devices=0        no device in this machine
//   capability=8.9   another card (9.0): its compute capability, and by it its multiprocessors, shared memory
//                    and the sums of its tensor cores
//   memory=64M       another amount of memory, in bytes or with K, M, G (16G)
//   order=reversed   the order of threads: forward, reversed, shuffled or shuffled:SEED
//   host=denied      host access to the device's memory: allowed, denied, or automatic, which denies it
//                    while no more than 4 MiB are in use (automatic)
//   cublaslt=MOOD    what cuBLASLt's documentation allows beyond the usual: refused_epilogues,
//                    refused_products, parts_by_rows, approximate_gelu (usual)
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace emulator {

// Order in which the threads of a block are resumed and the blocks of a grid run. Correct kernels give the
// same bits in every order. Blocks run on several threads of the host in forward order only.
enum class Order { forward, reversed, shuffled };
struct ThreadOrder {
    Order order = Order::forward;
    std::uint64_t seed = 0;  // of shuffled
};

// Host access to the device's memory. Denying it costs time for each page in use.
enum class HostAccess { allowed, denied, automatic };  // automatic: denied up to 4 MiB in use

// Behaviour of the stand-in for cuBLASLt.
enum class CublasLtMood {
    usual,
    refused_epilogues,  // no algorithm has an epilogue
    refused_products,   // the heuristic offers several algorithms, of which the product refuses some or all
    parts_by_rows,      // the parts of a sum depend on the number of rows
    approximate_gelu,   // of the tanh of relative error 2^-11
};

// What differs between cards of interest.
struct Card {
    int major, minor;
    std::size_t shared_most;  // bytes of shared memory that a block can opt in to
    int multiprocessors;
    int threads, blocks;  // most of a multiprocessor at once
    int l2_bytes;
};

struct EmulatedDevice {
    int devices = 1;
    int major = 9, minor = 0;
    int driver = 13000;  // the CUDA version that it supports, as cudaDriverGetVersion returns it
    std::size_t memory = std::size_t{16} << 30;
    HostAccess host = HostAccess::automatic;
    ThreadOrder order;
    CublasLtMood cublaslt = CublasLtMood::usual;
    bool quiet = false;  // reports are kept for last_report, not written
};
// The card of the device's compute capability; of one between two, the older.
const Card& card();
// The device that these settings describe (EMULATED_DEVICE). Throws std::invalid_argument.
EmulatedDevice parse_emulated_device(const std::string& settings);
// Changes take effect with the next call.
EmulatedDevice& emulated_device();

// ---- memory of the device ---------------------------------------------------------------------------------

// Null if less memory is left. Filled with 0xFF, which is NaN as float: uninitialised memory.
void* allocate_device(std::size_t bytes);
bool release_device(void* memory);  // whether it was allocated
std::size_t device_bytes_used();
// Host memory that the device can read.
void* allocate_pinned(std::size_t bytes);
bool release_pinned(void* memory);

enum class Place { host, pinned, device };
// Place of the `bytes` bytes at `address`; device only if all of them are device memory. `address` may be the
// end of an allocation if `bytes` is 0.
Place place_of(const void* address, std::size_t bytes);
// Location of an address for messages: "12 bytes behind an allocation of 400".
std::string describe(const void* address);
// Description of an overwritten guard around an allocation; empty if there is none.
std::string overwritten_guard();
// Writes a line to stderr and keeps it.
void report(const std::string& message);
const std::string& last_report();

// Allows host access to the device's memory during its lifetime.
class DeviceAccess {
  public:
    DeviceAccess();
    ~DeviceAccess();
    DeviceAccess(const DeviceAccess&) = delete;
    DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace emulator
