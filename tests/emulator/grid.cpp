// Grids of blocks, and the calls of the device's threads.
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <utility>

#include "kernels/common/threads.h"
#include "tests/emulator/worker.h"

namespace emulator {
namespace {

// First block of cluster number i of a grid in the order of its run; a cluster's blocks are neighbours in x.
class ClusterOrder {
  public:
    ClusterOrder(dim3 grid, unsigned cluster, ThreadOrder order)
        : grid_(grid),
          cluster_(cluster),
          order_(order),
          count_(std::uint64_t{grid.x / cluster} * grid.y * grid.z) {
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
        const unsigned in_x = grid_.x / cluster_;
        return {static_cast<unsigned>(number % in_x) * cluster_,
                static_cast<unsigned>(number / in_x % grid_.y),
                static_cast<unsigned>(number / in_x / grid_.y)};
    }

  private:
    dim3 grid_;
    unsigned cluster_;
    ThreadOrder order_;
    std::uint64_t count_, stride_ = 1, offset_ = 0;
};

thread_local std::unique_ptr<Worker> the_worker;

}  // namespace

Failure run(const Grid& grid) {
    const ThreadOrder order = emulated_device().order;
    const ClusterOrder cluster(grid.blocks, grid.cluster, order);
    std::atomic<std::uint64_t> next = 0;
    std::atomic<bool> failed = false;
    Failure first;
    const FaultHandler handler;
    // Chosen orders are kept by running on one thread of the host; so are clusters, whose fibers are many.
    const bool alone = grid.cluster > 1 || order.order != Order::forward || thread_sanitizer() ||
                       omp_in_parallel() || cpu::inside_shared_task();
    const int workers =
        alone ? 1 : static_cast<int>(std::min<std::uint64_t>(cpu::thread_count(), cluster.count()));
    const auto work = [&] {
        if (the_worker == nullptr) the_worker = std::make_unique<Worker>();
        for (std::uint64_t i; !failed && (i = next++) < cluster.count();)
            if (!the_worker->run_cluster(grid, cluster(i), order) && !failed.exchange(true))
                first = std::move(the_worker->failure());
        the_worker->finish();
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
        in_kernel->fail("needs a larger stack than the emulated device's threads have");
    std::string message = "touches " + describe(address);
    if (in_kernel->too_early()) message += " before it has waited for the previous kernel";
    in_kernel->fail(std::move(message), true);
}

}  // namespace emulator
