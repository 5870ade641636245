// The emulated device: runs kernels on the host, for tests of them on machines without a GPU.
//
// The same .cu files, compiled by the C++ compiler against the headers in include/, become programs for which
// the device is simply the CUDA device. Each thread of a block is a fiber (fiber.h). Blocks run one after
// another, or on several threads of the host; within a block, a thread runs until it waits for others, and
// then another one goes on, in an order that a test can choose. A thread that never waits costs little more
// than a function call. The blocks of a cluster run together.
//
// Emulated: __syncthreads and its counting variants, __syncwarp, shuffles, votes, atomics on integers, shared
// memory, mma and ldmatrix, cp.async, clusters with their barrier and the shared memory of partners, mbarriers
// and bulk copies, device and pinned memory, streams, events, graphs. Checked:
//
//   barriers that some threads of a block never reach, or reach elsewhere; lanes of a mask that are missing,
//   ended, or at another operation; mma and ldmatrix without all 32 lanes; reads of uninitialised memory
//   (fresh memory, shared or not, is NaN, and so is the target of a cp.async until its wait); accesses outside
//   of arrays (guards around shared arrays, guard pages around allocations); shared memory beyond the size of
//   the launch or of the device; 16-byte accesses and ldmatrix rows that are not aligned; host pointers
//   passed to a kernel; device memory accessed by the host; calls that are not permitted during capture; of
//   clusters: shared memory of a partner that may not have started or has ended, or that was written since the
//   last barrier of the cluster (a store there is NaN until that barrier); bulk copies of other sizes than the
//   mbarrier expects, that are not aligned, or that are in flight when the block ends; of a kernel that may
//   start before the one in front of it has ended: threads that touch device memory before any has waited for
//   that one, or end without having waited.
//
// A kernel that does any of these fails: the launch returns an error, and one line on stderr reports the
// fault with kernel, block and thread. Unlike on a real device, later kernels are not affected.
//
// A missing barrier is detected in three ways: results differ between thread orders (tests/thread_orders.h),
// uninitialised shared memory is read, and the thread sanitizer, for which the device's threads are ordered
// by their barriers only, reports a data race.
//
// Not emulated: time; the memory model beyond barriers, so that a missing __threadfence is detected only
// under the thread sanitizer; warps in lockstep, since lanes run independently between barriers; occupancy;
// asynchronous execution, outside of graphs; bank conflicts, registers, and the rounding of the fast
// functions (__expf and the like are exact here). Tensor cores cut their sums off as truncated_sum.h says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <source_location>
#include <string>

#include "tests/emulator/emulated_device.h"
#include "tests/emulator/include/emulated/types.h"

namespace emulator {

// The kernel in front of one that may start before it has ended. Until a thread waits for it, the device's
// memory is as inaccessible as it is to the host.
class PreviousKernel {
  public:
    void end() {
        std::call_once(once_, [&] { access_.emplace(); });
    }

  private:
    std::once_flag once_;
    std::optional<DeviceAccess> access_;
};

// A kernel with its arguments and its grid.
struct Grid {
    dim3 blocks, threads;
    std::size_t shared_bytes = 0;
    std::function<void()> kernel;        // body of each thread
    unsigned cluster = 1;                // blocks of a cluster, neighbours in x
    PreviousKernel* previous = nullptr;  // null: it has ended
};

// Description of a fault in one line with block and thread; empty if there was none.
struct Failure {
    std::string message;
    bool address = false;  // an access to an address where nothing is
};
Failure run(const Grid& grid);

// ---- calls by threads of the device -----------------------------------------------------------------------

using Where = std::source_location;

// Ends the kernel with an error of the calling thread.
// Nothing on the thread's stack is destroyed: the message has to be all there is to free.
[[noreturn]] void fail(std::string message);

enum class BlockOperation : std::uint8_t { barrier, barrier_or, barrier_and, barrier_count };
// Waits for all threads of the block. Returns how many of them came with a true predicate.
int wait_for_block(BlockOperation operation, bool predicate, const Where& where);

enum class WarpOperation : std::uint8_t { barrier, shuffle, ballot, any, all, matrix_product, load_matrix };
// Waits for all lanes of `mask`, which has to name the caller. Shuffle: the value of lane `source`. Votes:
// the lanes whose value is not 0.
std::uint64_t wait_for_warp(WarpOperation operation, unsigned mask, std::uint64_t value, int source,
                            const Where& where);
// Waits for all 32 lanes; then one of them calls compute(data of lanes 0..31).
void compute_with_warp(WarpOperation operation, void* data, void (*compute)(void* const* data),
                       const Where& where);
// The caller's lane.
int lane();

// The block's shared array number `index`.
void* shared_array(int index, std::size_t bytes, std::size_t element_bytes);

// Asynchronous copies of the caller.
struct PendingCopy {
    void* shared;
    const void* global;  // null: zeros
    int group;
};
void start_copy(void* shared, const void* global);
void commit_copies();
// Removes a copy from the list that must complete before at most `groups` groups are in flight.
bool finish_copy(int groups, PendingCopy& copy);

// The caller's block in its cluster, and the cluster's size.
int cluster_rank();
int cluster_ranks();
// The cluster's barrier in two halves.
void arrive_at_cluster(const Where& where);
void wait_for_cluster(const Where& where);
// Accesses, of at most 16 bytes, to the shared memory of block `rank` at the caller's address `shared`.
void store_to_rank(void* shared, int rank, const void* value, std::size_t bytes);
void load_from_rank(void* value, const void* shared, int rank, std::size_t bytes);

// Mbarriers (mbarriers.h).
void start_mbarrier(std::uint64_t* barrier, unsigned arrivals);
void arrive_at_mbarrier(std::uint64_t* barrier, unsigned bytes);
void start_bulk_copy(void* shared, const void* global, unsigned bytes, std::uint64_t* barrier);
void wait_for_mbarrier(const std::uint64_t* barrier, unsigned parity, const Where& where);
// Waits until the kernel in front of the caller's has ended.
void wait_for_previous_kernel();

// The caller's previous writes are visible to threads that call this later.
void thread_fence();

}  // namespace emulator
