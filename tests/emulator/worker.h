// Runs the threads of blocks: scheduler.cpp. One for each thread of the host.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/emulator/emulated_device.h"
#include "tests/emulator/faults.h"
#include "tests/emulator/fiber.h"
#include "tests/emulator/mbarriers.h"
#include "tests/emulator/scheduler.h"
#include "tests/emulator/shared_arrays.h"

namespace emulator {

constexpr int max_threads = 1024, warp_lanes = 32, max_warps = max_threads / warp_lanes;

// State of a suspended thread.
enum class State : std::uint8_t {
    ready,
    waits_for_block,
    waits_for_warp,
    waits_for_cluster,
    waits_for_mbarrier,
    ended
};

struct Block;

struct Thread {
    Block* block = nullptr;
    Fiber* fiber = nullptr;  // null: not started
    State state = State::ready;
    std::uint16_t number = 0;  // in the block
    bool waited = false;       // for the previous kernel
    uint3 index{};
    int group = 0;  // of asynchronous copies, the one not yet committed
    std::vector<PendingCopy> copies;
    int cluster_barrier = -1;  // the cluster's barrier that it arrived at and has not waited for
    Where where;               // of its wait for the cluster or for an mbarrier
};

// A waiting lane's operation and its operands.
struct Lane {
    WarpOperation operation{};
    std::uint8_t source = 0;
    unsigned mask = 0;
    Where where;
    std::uint64_t value = 0;
    void* data = nullptr;
    void* sync = nullptr;
};

struct Warp {
    unsigned waiting = 0;
    std::array<Lane, warp_lanes> lanes;
    // Barriers passed by the group with this lowest lane; sync variables for the thread sanitizer.
    std::array<std::uint8_t, warp_lanes> barriers{};
    std::array<std::array<char, 4>, warp_lanes> sync;
};

// A block that runs.
struct Block {
    uint3 index{};
    int rank = 0;  // in its cluster
    int threads = 0, alive = 0;
    std::array<Thread, max_threads> all_threads{};
    std::array<Warp, max_warps> warps{};
    std::array<std::uint64_t, max_threads / 64> ready{};  // a bit for each thread

    int arrived = 0, predicates = 0, votes = 0;
    BlockOperation operation{};
    Where where;
    // Sync variables for the thread sanitizer: barriers of odd and of even number.
    unsigned barriers = 0;
    std::array<char, 2> barrier_sync{};

    SharedArrays shared;
    Mbarriers mbarriers;

    void make_ready(int thread) { ready[thread / 64] |= std::uint64_t{1} << thread % 64; }
};

// Runs clusters of blocks, mostly of one, one after another, on the host's thread it belongs to.
class Worker {
  public:
    Worker() = default;
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    ~Worker() { acquire(&end_sync_); }
    // The cluster whose first block is `first`.
    bool run_cluster(const Grid& grid, uint3 first, ThreadOrder order);
    // After the last block of a grid: makes its threads' accesses visible to the host.
    void finish() { acquire(&end_sync_); }
    Failure& failure() { return failure_; }

    [[noreturn]] void fail(std::string message, bool address = false);
    int wait_for_block(BlockOperation operation, bool predicate, const Where& where);
    std::uint64_t wait_for_warp(WarpOperation operation, unsigned mask, std::uint64_t value, int source,
                                void* data, void (*compute)(void* const*), const Where& where);
    void* shared_array(int index, std::size_t bytes, std::size_t element_bytes);
    void wait_for_previous_kernel();
    // Whether the running thread may still be ahead of the previous kernel's end.
    bool too_early() const { return grid_->previous != nullptr && !current_->waited; }
    Thread& current() { return *current_; }
    Block& block() { return *current_->block; }
    Fiber& fiber() { return *fiber_; }

    // Of clusters: cluster.cpp.
    int ranks() const { return ranks_; }
    void arrive_at_cluster(const Where& where);
    void wait_for_cluster(const Where& where);
    void store_to_rank(void* shared, int rank, const void* value, std::size_t bytes);
    void load_from_rank(void* value, const void* shared, int rank, std::size_t bytes);
    void wait_for_mbarrier(const std::uint64_t* barrier, unsigned parity, const Where& where);

  private:
    void start_block(Block& block, const Grid& grid, uint3 index, int rank);
    std::string unfinished();
    std::string unfinished(const Block& block) const;
    std::string what_it_does(const Thread& thread) const;
    void forget_threads();
    void become(Thread& thread);
    int alive() const;

    static void make_all_ready(Block& block);
    Thread* take_ready();
    static int first_ready(const Block& block, int from);
    static int last_ready(const Block& block);

    // Of clusters.
    void end_block();
    void end_cluster_barrier_if_all_arrived();
    // A partner's memory at the caller's address. Fails if it is not there, or not any more.
    std::byte* at_rank(const void* shared, int rank, std::size_t bytes, const char* what);

    Fiber& fiber_for(const Thread& thread);
    void go_on_with(Thread& thread);
    void leave();
    void jump(Fiber& to);
    [[noreturn]] void run_threads();
    void run_current();

    void check_lanes(const Warp& warp, int lane);
    void exchange(Warp& warp, const Lane& mine, void (*compute)(void* const*));

    const Grid* grid_ = nullptr;
    ThreadOrder order_;
    std::uint64_t random_ = 0;
    std::vector<std::unique_ptr<Block>> blocks_;  // by rank; `ranks_` of them run
    int ranks_ = 0;
    Thread* current_ = nullptr;
    Failure failure_;

    Fiber host_;             // the context of run_cluster
    Fiber* fiber_ = &host_;  // running
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Fiber*> idle_;
    SignalStack signal_stack_;

    // Of a cluster: its barrier, and the stores into partners' shared memory since the last one.
    struct RemoteStore {
        std::byte* to;
        int from_rank, to_rank;
        std::size_t bytes;
        std::array<std::byte, 16> value;
    };
    int cluster_arrivals_ = 0, cluster_barriers_ = 0;
    std::vector<RemoteStore> stores_;
    // Sync variables for the thread sanitizer: the start, the end, the cluster's barriers.
    char start_sync_ = 0, end_sync_ = 0;
    std::array<char, 2> cluster_sync_{};
};

// The worker that runs a block on this thread of the host, null if none does.
extern thread_local constinit Worker* in_kernel;

}  // namespace emulator
