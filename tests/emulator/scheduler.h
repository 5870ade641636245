// The emulated card: runs the grid of a kernel on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>
#include <string>

#include "tests/emulator/include/emulated/types.h"

namespace emulator {

// The order in which the threads of a block are resumed, and in which the blocks of a grid run. Correct
// kernels give the same bits in each. The environment variable EMULATED_CARD sets it for a whole program
// (card.h).
enum class Order { forward, reversed, shuffled };
struct ThreadOrder {
    Order order = Order::forward;
    std::uint64_t seed = 0;  // of shuffled
};
void set_thread_order(Order order, std::uint64_t seed = 0);
ThreadOrder thread_order();

// A kernel with its arguments and its grid.
struct Grid {
    dim3 blocks, threads;
    std::size_t shared_bytes = 0;
    std::function<void()> kernel;  // what each thread runs
};

// Runs it. What went wrong in one line, with block and thread, empty if nothing did.
std::string run(const Grid& grid);

// Whether this host thread is inside of a kernel.
bool in_kernel();

// ---- what threads call ----------------------------------------------------------------------------------

using Where = std::source_location;

// Ends the kernel with an error of the calling thread.
[[noreturn]] void fail(const std::string& message);

enum class BlockOperation { barrier, barrier_or, barrier_and, barrier_count };
// Waits for all threads of the block; how many of them came with a predicate that is not 0.
int wait_for_block(BlockOperation operation, bool predicate, const Where& where);

enum class WarpOperation { barrier, shuffle, ballot, any, all, matrix_product, load_matrix };
// Waits for all lanes of `mask`, which has to name the caller. Shuffle: the value of lane `source`. Votes:
// the lanes whose value is not 0.
std::uint64_t wait_for_warp(WarpOperation operation, unsigned mask, std::uint64_t value, int source,
                            const Where& where);
// Waits for all 32 lanes; then one of them calls compute(data of lane 0..31).
void compute_with_warp(WarpOperation operation, void* data, void (*compute)(void* const* data),
                       const Where& where);
// The calling thread's lane.
int lane();

// The block's shared array number `index`.
void* shared_array(int index, std::size_t bytes, std::size_t element_bytes);

// Asynchronous copies of the calling thread.
void start_copy(void* shared, const void* global, bool valid);
void commit_copies();
// Takes a copy off the list that has to be carried out so that only `groups` groups are left.
struct PendingCopy {
    void* shared;
    const void* global;  // null: zeros
    int group;
};
bool finish_copy(int groups, PendingCopy& copy);

}  // namespace emulator
