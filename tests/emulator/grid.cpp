// Grids of blocks, and the calls of the card's threads.
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <utility>

#include "tests/emulator/worker.h"

namespace emulator {
namespace {

// Block number i of a grid in the order of its run.
class BlockOrder {
  public:
    BlockOrder(dim3 grid, ThreadOrder order)
        : grid_(grid), order_(order), count_(std::uint64_t{grid.x} * grid.y * grid.z) {
        if (order.order != Order::shuffled) return;
        // i -> (stride i + offset) mod count, with a stride prime to it.
        offset_ = (order.seed * 2654435761u + 12345) % count_;
        stride_ = (order.seed * 40503u + count_ * 5 / 8) % count_ + 1;
        while (std::gcd(stride_, count_) != 1) ++stride_;
    }
    std::uint64_t count() const { return count_; }
    uint3 operator()(std::uint64_t i) const {
        std::uint64_t number = i;
        if (order_.order == Order::reversed) number = count_ - 1 - i;
        if (order_.order == Order::shuffled)
            number =
                static_cast<std::uint64_t>((static_cast<unsigned __int128>(stride_) * i + offset_) % count_);
        return {static_cast<unsigned>(number % grid_.x), static_cast<unsigned>(number / grid_.x % grid_.y),
                static_cast<unsigned>(number / grid_.x / grid_.y)};
    }

  private:
    dim3 grid_;
    ThreadOrder order_;
    std::uint64_t count_, stride_ = 1, offset_ = 0;
};

thread_local std::unique_ptr<Worker> the_worker;

}  // namespace

Failure run(const Grid& grid) {
    const ThreadOrder order = card().order;
    const BlockOrder block(grid.blocks, order);
    std::atomic<std::uint64_t> next = 0;
    std::atomic<bool> failed = false;
    Failure first;
    const FaultHandler handler;
    // Chosen orders are kept by running on one thread of the host.
    const bool alone = order.order != Order::forward || thread_sanitizer() || omp_in_parallel();
    const int workers =
        alone ? 1 : static_cast<int>(std::min<std::uint64_t>(omp_get_max_threads(), block.count()));
    const auto work = [&] {
        if (the_worker == nullptr) the_worker = std::make_unique<Worker>();
        for (std::uint64_t i; !failed && (i = next++) < block.count();)
            if (!the_worker->run_block(grid, block(i), order) && !failed.exchange(true))
                first = std::move(the_worker->failure());
    };
    if (workers == 1) {
        work();
    } else {
#pragma omp parallel num_threads(workers)
        work();
    }
    return first;
}

std::byte* fault_stack() {
    return in_kernel != nullptr ? in_kernel->fiber().top() : nullptr;
}

void on_fault(int signal, const void* address) {
    if (signal == SIGFPE) in_kernel->fail("divides an integer by zero");
    if (in_kernel->fiber().overflowed_at(address))
        in_kernel->fail("needs a larger stack than the emulated card's threads have");
    in_kernel->fail("touches " + describe(address), true);
}

void fail(const std::string& message) {
    in_kernel->fail(message);
}

int wait_for_block(BlockOperation operation, bool predicate, const Where& where) {
    return in_kernel->wait_for_block(operation, predicate, where);
}

std::uint64_t wait_for_warp(WarpOperation operation, unsigned mask, std::uint64_t value, int source,
                            const Where& where) {
    return in_kernel->wait_for_warp(operation, mask, value, source, nullptr, nullptr, where);
}

void compute_with_warp(WarpOperation operation, void* data, void (*compute)(void* const*),
                       const Where& where) {
    in_kernel->wait_for_warp(operation, ~0u, 0, 0, data, compute, where);
}

int lane() {
    return in_kernel->current().number % warp_lanes;
}

void* shared_array(int index, std::size_t bytes, std::size_t element_bytes) {
    return in_kernel->shared_array(index, bytes, element_bytes);
}

void start_copy(void* shared, const void* global) {
    Thread& thread = in_kernel->current();
    thread.copies.push_back({shared, global, thread.group});
}

void commit_copies() {
    ++in_kernel->current().group;
}

bool finish_copy(int groups, PendingCopy& copy) {
    Thread& thread = in_kernel->current();
    if (thread.copies.empty() || thread.copies.front().group >= thread.group - groups) return false;
    copy = thread.copies.front();
    thread.copies.erase(thread.copies.begin());
    return true;
}

void thread_fence() {
    static char sync;
    acquire(&sync);
    release(&sync);
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace emulator
