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
#include "tests/emulator/scheduler.h"
#include "tests/emulator/shared_arrays.h"

namespace emulator {

constexpr int max_threads = 1024, warp_lanes = 32, max_warps = max_threads / warp_lanes;

// State of a suspended thread.
enum class State : std::uint8_t { ready, waits_for_block, waits_for_warp, ended };

struct Thread {
    Fiber* fiber = nullptr;  // null: not started
    State state = State::ready;
    std::uint16_t number = 0;  // in the block
    bool waited = false;       // for the previous kernel
    uint3 index{};
    int group = 0;  // of asynchronous copies, the one not yet committed
    std::vector<PendingCopy> copies;
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

// Runs blocks, one after another, on the host's thread it belongs to.
class Worker {
  public:
    Worker() = default;
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    ~Worker() { acquire(&end_sync_); }
    bool run_block(const Grid& grid, uint3 block, ThreadOrder order);
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
    Fiber& fiber() { return *fiber_; }

  private:
    void start_block(const Grid& grid, uint3 block, ThreadOrder order);
    std::string unfinished() const;
    std::string what_it_does(const Thread& thread) const;
    void forget_threads();

    void make_all_ready();
    Thread* take_ready();
    int first_ready(int from) const;
    int last_ready() const;

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
    int threads_ = 0, alive_ = 0;
    Thread* current_ = nullptr;
    Failure failure_;

    Fiber host_;             // the context of run_block
    Fiber* fiber_ = &host_;  // running
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Fiber*> idle_;
    SignalStack signal_stack_;

    std::array<Thread, max_threads> all_threads_{};
    std::array<Warp, max_warps> warps_{};
    std::array<std::uint64_t, max_threads / 64> ready_{};  // a bit for each thread

    int arrived_ = 0, predicates_ = 0, votes_ = 0;
    BlockOperation block_operation_{};
    Where block_where_;
    // Sync variables for the thread sanitizer: barriers of odd and of even number, the start, the end.
    unsigned barriers_ = 0;
    std::array<char, 2> barrier_sync_{};
    char start_sync_ = 0, end_sync_ = 0;

    SharedArrays shared_;
};

// The worker that runs a block on this thread of the host, null if none does.
extern thread_local constinit Worker* in_kernel;

}  // namespace emulator
