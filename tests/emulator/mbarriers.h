// The mbarriers of a block and the bulk copies that they count.
//
// A phase is complete when its arrivals have come and its copies have delivered as many bytes as were
// expected. Bulk copies arrive as late as possible: until a thread waits for the phase, the shared memory
// holds NaN, and the global memory is read then.
//
// Source: PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier".
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace emulator {

class Mbarriers {
  public:
    // For a new block.
    void clear() { barriers_.clear(); }

    // Each returns why the call is wrong, empty if it is not. `barrier`: an address of the block's shared memory.
    std::string start(std::uint64_t* barrier, unsigned arrivals);
    std::string arrive(std::uint64_t* barrier, unsigned bytes);  // and expects so many bytes more
    std::string copy(std::uint64_t* barrier, void* shared, const void* global, unsigned bytes);
    // Whether the phase of this parity is complete; its copies are then done. If not, `thread` of the block is
    // noted, until wake_up().
    std::string wait(const std::uint64_t* barrier, unsigned parity, int thread, bool& complete);
    // The threads noted at a barrier, each once.
    std::vector<int> wake_up(const std::uint64_t* barrier);

    // What the barrier that `thread` waits for lacks.
    std::string why_not_complete(int thread) const;
    // Bytes of copies that no completed phase has delivered.
    std::size_t bytes_in_flight() const;

  private:
    struct Copy {
        void* shared;
        const void* global;
        unsigned bytes;
    };
    struct Barrier {
        unsigned arrivals = 0, missing = 0;  // of each phase; of this one
        std::uint64_t expected = 0, phases = 0;
        std::vector<Copy> copies;
        std::vector<int> waiting;
        char sync[2] = {};  // for the thread sanitizer, of odd and of even phases

        std::uint64_t copied() const;
    };
    std::string find(const std::uint64_t* barrier, Barrier*& found);

    std::map<const std::uint64_t*, Barrier> barriers_;
};

}  // namespace emulator
