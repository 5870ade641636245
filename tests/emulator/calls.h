// Counters of the host's calls and of the emulated device's work, for tests.
#pragma once

#include <atomic>
#include <cstdint>

namespace emulator {

struct Calls {
    std::atomic<std::int64_t> synchronizations{0};      // of the device, of streams and of events
    std::atomic<std::int64_t> host_copies{0};           // from or to the host's memory
    std::atomic<std::int64_t> recorded_host_copies{0};  // those among them that became a part of a graph
    std::atomic<std::int64_t> allocations{0};           // of device memory
    std::atomic<std::int64_t> graph_launches{0}, graphs{0};
    std::atomic<std::int64_t> nodes{0};  // kernels, products, copies and fills that ran, also in graphs
};
Calls& calls();

}  // namespace emulator
