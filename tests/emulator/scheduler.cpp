// Scheduling of a block's threads: order of resumption, barriers and warp operations.
#include "tests/emulator/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <exception>
#include <utility>

#include "tests/emulator/worker.h"

thread_local constinit uint3 threadIdx{}, blockIdx{};
thread_local constinit dim3 blockDim, gridDim;

namespace emulator {

thread_local constinit Worker* in_kernel = nullptr;

namespace {

std::string text(const uint3& at) {
    return fmt::format("({}, {}, {})", at.x, at.y, at.z);
}
std::string text(const Where& where) {
    return fmt::format("{}:{}", where.file_name(), where.line());
}
bool same(const Where& a, const Where& b) {
    if (std::memcmp(&a, &b, sizeof a) == 0) return true;  // one pointer, mostly
    return a.line() == b.line() && a.column() == b.column() &&
           (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

const char* name(WarpOperation operation) {
    constexpr const char* names[] = {"__syncwarp", "a shuffle",        "__ballot_sync", "__any_sync",
                                     "__all_sync", "a matrix product", "ldmatrix"};
    return names[static_cast<int>(operation)];
}

// Calls function(i) for each bit i of mask.
template <class Function>
void for_each_lane(unsigned mask, Function function) {
    for (; mask != 0; mask &= mask - 1) function(std::countr_zero(mask));
}

}  // namespace

// ---- fibers ---------------------------------------------------------------------------------------------

// An idle fiber. Under the thread sanitizer, each thread has its own fiber.
Fiber& Worker::fiber_for(const Thread& thread) {
    if (thread_sanitizer())
        return *fibers_[static_cast<std::size_t>(thread.block->rank * thread.block->threads + thread.number)];
    if (idle_.empty()) {
        std::unique_ptr<Fiber> fiber(Fiber::create([] { in_kernel->run_threads(); }));
        if (fiber == nullptr) fail("no memory for the stack of a thread");
        idle_.push_back(fiber.get());
        fibers_.push_back(std::move(fiber));
    }
    Fiber& fiber = *idle_.back();
    idle_.pop_back();
    return fiber;
}

void Worker::jump(Fiber& to) {
    Fiber& from = *fiber_;
    fiber_ = &to;
    from.jump(to);
}

void Worker::become(Thread& thread) {
    current_ = &thread;
    threadIdx = thread.index;
    blockIdx = thread.block->index;
}

void Worker::go_on_with(Thread& thread) {
    become(thread);
    jump(thread.fiber != nullptr ? *thread.fiber : fiber_for(thread));
}

// Body of a fiber: runs threads to completion. Threads that never wait share one fiber.
void Worker::run_threads() {
    for (;;) {
        run_current();
        current_->state = State::ended;
        current_->fiber = nullptr;
        --block().alive;
        end_cluster_barrier_if_all_arrived();
        Thread* const next = take_ready();
        if (next != nullptr && next->fiber == nullptr && !thread_sanitizer()) {
            become(*next);
            continue;
        }
        if (!thread_sanitizer()) idle_.push_back(fiber_);
        if (next != nullptr)
            go_on_with(*next);
        else
            jump(host_);
    }
}

void Worker::run_current() {
    std::string problem;
    try {
        acquire(&start_sync_);
        grid_->kernel();
        release(&end_sync_);
        if (too_early()) fail("ends without having waited for the previous kernel");
        if (block().alive == 1) end_block();
        return;
    } catch (const std::exception& exception) {
        problem = exception.what();
    } catch (...) {
        problem = "an exception";
    }
    fail(std::move(problem.insert(0, "threw: ")));
}

// From a thread that waits to the next one that is ready, or to run_cluster if none is.
void Worker::leave() {
    current_->fiber = fiber_;
    release(&end_sync_);
    Thread* const next = take_ready();
    if (next == nullptr)
        jump(host_);
    else if (next != current_)
        go_on_with(*next);
}

// ---- which thread is next -------------------------------------------------------------------------------

void Worker::make_all_ready(Block& block) {
    for (int word = 0; word * 64 < block.threads; ++word) {
        const int bits = std::min(block.threads - word * 64, 64);
        block.ready[word] = ~std::uint64_t{0} >> (64 - bits);
    }
}

int Worker::first_ready(const Block& block, int from) {
    for (int word = from / 64; word * 64 < block.threads; ++word) {
        std::uint64_t bits = block.ready[word];
        if (word == from / 64) bits &= ~std::uint64_t{0} << from % 64;
        if (bits != 0) return word * 64 + std::countr_zero(bits);
    }
    return -1;
}

int Worker::last_ready(const Block& block) {
    for (int word = (block.threads - 1) / 64; word >= 0; --word)
        if (block.ready[word] != 0) return word * 64 + 63 - std::countl_zero(block.ready[word]);
    return -1;
}

// Of the first block in this order that has one, a cluster's blocks being ordered as their threads are.
Thread* Worker::take_ready() {
    std::uint64_t random = 0;
    if (order_.order == Order::shuffled) {
        random_ = random_ * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator
        random = random_ >> 33;
    }
    for (int i = 0; i < ranks_; ++i) {
        const int rank = order_.order == Order::reversed
                             ? ranks_ - 1 - i
                             : static_cast<int>((static_cast<std::uint64_t>(i) + random) %
                                                static_cast<std::uint64_t>(ranks_));
        Block& block = *blocks_[static_cast<std::size_t>(rank)];
        int number = -1;
        if (order_.order == Order::reversed) {
            number = last_ready(block);
        } else {
            number = first_ready(block, static_cast<int>(random % static_cast<unsigned>(block.threads)));
            if (number < 0 && random != 0) number = first_ready(block, 0);
        }
        if (number < 0) continue;
        block.ready[number / 64] &= ~(std::uint64_t{1} << number % 64);
        return &block.all_threads[number];
    }
    return nullptr;
}

// ---- a cluster of blocks ----------------------------------------------------------------------------------

void Worker::start_block(Block& block, const Grid& grid, uint3 index, int rank) {
    block.index = index;
    block.rank = rank;
    block.threads = block.alive = static_cast<int>(grid.threads.x * grid.threads.y * grid.threads.z);
    uint3 thread_index{};
    for (int number = 0; number < block.threads; ++number) {
        Thread& thread = block.all_threads[number];
        thread.block = &block;
        thread.fiber = nullptr;
        thread.state = State::ready;
        thread.number = static_cast<std::uint16_t>(number);
        thread.index = thread_index;
        thread.group = 0;
        thread.waited = false;
        thread.copies.clear();
        thread.cluster_barrier = -1;
        if (++thread_index.x == grid.threads.x) {
            thread_index.x = 0;
            if (++thread_index.y == grid.threads.y) thread_index.y = 0, ++thread_index.z;
        }
    }
    make_all_ready(block);
    for (int warp = 0; warp * warp_lanes < block.threads; ++warp) block.warps[warp].waiting = 0;
    block.arrived = 0;
    block.shared.clear(grid.shared_bytes);
    block.mbarriers.clear();
}

bool Worker::run_cluster(const Grid& grid, uint3 first, ThreadOrder order) {
    grid_ = &grid;
    order_ = order;
    random_ = order.seed + 0x9E3779B97F4A7C15u * (first.x + 1009ull * first.y + 1000033ull * first.z + 1);
    blockDim = grid.threads;
    gridDim = grid.blocks;
    ranks_ = static_cast<int>(grid.cluster);
    while (blocks_.size() < grid.cluster) blocks_.push_back(std::make_unique<Block>());
    for (int rank = 0; rank < ranks_; ++rank)
        start_block(*blocks_[static_cast<std::size_t>(rank)], grid,
                    {first.x + static_cast<unsigned>(rank), first.y, first.z}, rank);
    cluster_arrivals_ = cluster_barriers_ = 0;
    stores_.clear();
    failure_ = {};
    // To the thread sanitizer, a fiber is ordered after its creator: all are created here, by no thread of
    // the device.
    while (thread_sanitizer() && fibers_.size() < static_cast<std::size_t>(alive()))
        fibers_.emplace_back(Fiber::create([] { in_kernel->run_threads(); }));
    release(&start_sync_);
    in_kernel = this;
    go_on_with(*take_ready());
    in_kernel = nullptr;
    if (alive() > 0) finish();
    if (failure_.message.empty() && alive() > 0) failure_.message = unfinished();
    for (int rank = 0; rank < ranks_ && failure_.message.empty(); ++rank) {
        const Block& block = *blocks_[static_cast<std::size_t>(rank)];
        blockIdx = block.index;
        failure_.message = block.shared.overwritten();
    }
    if (failure_.message.empty()) return true;
    failure_.message = fmt::format("block {}: {}", text(blockIdx), failure_.message);
    forget_threads();
    return false;
}

int Worker::alive() const {
    int alive = 0;
    for (int rank = 0; rank < ranks_; ++rank) alive += blocks_[static_cast<std::size_t>(rank)]->alive;
    return alive;
}

// Cleanup after a failed cluster.
void Worker::forget_threads() {
    for (int rank = 0; rank < ranks_; ++rank) {
        Block& block = *blocks_[static_cast<std::size_t>(rank)];
        block.ready.fill(0);
        for (int number = 0; number < block.threads; ++number) {
            Fiber* const fiber = std::exchange(block.all_threads[number].fiber, nullptr);
            if (fiber == nullptr) continue;
            fiber->reset();
            if (!thread_sanitizer()) idle_.push_back(fiber);
        }
    }
}

void Worker::fail(std::string message, bool address) {
    failure_ = {fmt::format("thread {}: {}", text(threadIdx), message), address};
    std::string().swap(message);
    current_->fiber = fiber_;
    release(&end_sync_);
    jump(host_);
    std::terminate();  // a failed thread is never resumed
}

std::string Worker::what_it_does(const Thread& thread) const {
    const Block& block = *thread.block;
    const Lane& lane = block.warps[thread.number / warp_lanes].lanes[thread.number % warp_lanes];
    const std::string who = fmt::format("thread {} ", text(thread.index));
    switch (thread.state) {
        case State::ended:
            return who + "ended";
        case State::waits_for_block:
            return who + "waits at the barrier " + text(block.where);
        case State::waits_for_cluster:
            return who + "waits for the cluster at " + text(thread.where);
        case State::waits_for_mbarrier:
            return who + "waits for an mbarrier at " + text(thread.where);
        default:
            return who + fmt::format("waits for lanes {:#010x} at {} ({})", lane.mask, name(lane.operation),
                                     text(lane.where));
    }
}

// No thread is ready, and some have not ended: why. Sets blockIdx to the block of the answer.
std::string Worker::unfinished() {
    for (int rank = 0; rank < ranks_; ++rank) {
        const Block& block = *blocks_[static_cast<std::size_t>(rank)];
        blockIdx = block.index;
        std::string why = unfinished(block);
        if (!why.empty()) return why;
    }
    return "threads wait for nothing";
}

std::string Worker::unfinished(const Block& block) const {
    for (int number = 0; number < block.threads; ++number) {
        const Thread& thread = block.all_threads[number];
        if (thread.state != State::waits_for_warp) continue;
        const Warp& warp = block.warps[number / warp_lanes];
        // The missing lane: one that does not wait, or waits with another mask.
        int missing = -1;
        const unsigned mask = warp.lanes[number % warp_lanes].mask;
        for_each_lane(mask, [&](int lane) {
            if (missing < 0 && ((warp.waiting >> lane & 1u) == 0 || warp.lanes[lane].mask != mask))
                missing = lane;
        });
        const int other = number / warp_lanes * warp_lanes + missing;
        return what_it_does(thread) + ", " +
               (other < block.threads ? what_it_does(block.all_threads[other])
                                      : fmt::format("the block has no lane {} there", missing));
    }
    for (int number = 0; number < block.threads; ++number) {
        const Thread& thread = block.all_threads[number];
        if (thread.state == State::waits_for_mbarrier)
            return what_it_does(thread) + ", " + block.mbarriers.why_not_complete(thread.number);
        if (thread.state == State::waits_for_cluster)
            return what_it_does(thread) +
                   fmt::format(", {} of {} threads arrived", cluster_arrivals_, alive());
    }
    for (int number = 0; number < block.threads; ++number)
        if (block.arrived > 0 && block.all_threads[number].state == State::ended)
            return fmt::format("{} of {} threads wait at the barrier {}, {}", block.arrived, block.threads,
                               text(block.where), what_it_does(block.all_threads[number]));
    return "";
}

// ---- barriers -------------------------------------------------------------------------------------------

int Worker::wait_for_block(BlockOperation operation, bool predicate, const Where& where) {
    Block& block = this->block();
    if (block.arrived == 0) {
        block.operation = operation;
        block.where = where;
        block.predicates = 0;
    } else if (operation != block.operation || !same(where, block.where)) {
        std::string message = fmt::format("is at the barrier {} while {} threads wait at the barrier {}",
                                          text(where), block.arrived, text(block.where));
        fail(std::move(message));
    }
    // A thread that leaves a barrier late must not be ordered after accesses beyond it: two alternating sync
    // variables.
    char* const sync = &block.barrier_sync[block.barriers % 2];
    release(sync);
    block.predicates += predicate;
    if (++block.arrived == block.threads) {
        block.arrived = 0;
        block.votes = block.predicates;
        ++block.barriers;
        make_all_ready(block);
    } else {
        current_->state = State::waits_for_block;
    }
    leave();
    acquire(sync);
    return block.votes;  // of this barrier: the next one needs this thread
}

// The lanes of a mask have arrived: all at the same operation at the same place, with the same mask?
void Worker::check_lanes(const Warp& warp, int lane) {
    const Lane& mine = warp.lanes[lane];
    for_each_lane(mine.mask, [&](int i) {
        const Lane& other = warp.lanes[i];
        if (other.operation != mine.operation || other.mask != mine.mask || !same(other.where, mine.where)) {
            std::string message = fmt::format(
                "lane {} is at {} ({}) with lanes {:#010x}, lane {} at {} ({}) with lanes {:#010x}", lane,
                name(mine.operation), text(mine.where), mine.mask, i, name(other.operation),
                text(other.where), other.mask);
            fail(std::move(message));
        }
    });
}

// Each lane of the mask gets its result in `value`, or from compute.
void Worker::exchange(Warp& warp, const Lane& mine, void (*compute)(void* const*)) {
    if (mine.operation == WarpOperation::shuffle) {
        std::array<std::uint64_t, warp_lanes> values;
        values.fill(~std::uint64_t{0});  // of lanes outside the mask: undefined, here NaN
        for_each_lane(mine.mask, [&](int i) { values[i] = warp.lanes[i].value; });
        for_each_lane(mine.mask, [&](int i) { warp.lanes[i].value = values[warp.lanes[i].source]; });
    } else if (compute != nullptr) {
        std::array<void*, warp_lanes> data;
        for (int i = 0; i < warp_lanes; ++i) data[i] = warp.lanes[i].data;
        compute(data.data());
    } else {
        unsigned votes = 0;
        for_each_lane(mine.mask,
                      [&](int i) { votes |= static_cast<unsigned>(warp.lanes[i].value != 0) << i; });
        for_each_lane(mine.mask, [&](int i) { warp.lanes[i].value = votes; });
    }
}

std::uint64_t Worker::wait_for_warp(WarpOperation operation, unsigned mask, std::uint64_t value, int source,
                                    void* data, void (*compute)(void* const*), const Where& where) {
    const int number = current_->number, lane = number % warp_lanes;
    Block& block = this->block();
    Warp& warp = block.warps[number / warp_lanes];
    if ((mask >> lane & 1u) == 0) {
        std::string message = fmt::format("lane {} names lanes {:#010x}, itself not among them, at {} ({})",
                                          lane, mask, name(operation), text(where));
        fail(std::move(message));
    }
    const int lowest = std::countr_zero(mask);
    void* const sync = &warp.sync[lowest][warp.barriers[lowest] % 4];
    Lane& mine = warp.lanes[lane];
    mine = {operation, static_cast<std::uint8_t>(source), mask, where, value, data, sync};
    if (operation == WarpOperation::barrier) release(sync);
    warp.waiting |= 1u << lane;
    if ((warp.waiting & mask) == mask) {
        check_lanes(warp, lane);
        exchange(warp, mine, compute);
        warp.waiting &= ~mask;
        ++warp.barriers[lowest];
        block.ready[number / 64] |= std::uint64_t{mask} << (number - lane) % 64;
    } else {
        current_->state = State::waits_for_warp;
    }
    leave();
    if (operation == WarpOperation::barrier) acquire(sync);
    return mine.value;
}

void* Worker::shared_array(int index, std::size_t bytes, std::size_t element_bytes) {
    std::string problem;
    void* const array = block().shared.take(index, bytes, element_bytes, problem);
    if (array == nullptr) fail(std::move(problem));
    return array;
}

void Worker::wait_for_previous_kernel() {
    current_->waited = true;
    if (grid_->previous != nullptr) grid_->previous->end();
}

// ---- the calls of threads --------------------------------------------------------------------------------

void fail(std::string message) {
    in_kernel->fail(std::move(message));
}

void wait_for_previous_kernel() {
    in_kernel->wait_for_previous_kernel();
}

// Few calls deep: the processor mispredicts each return after a jump to another stack.
[[gnu::flatten]] int wait_for_block(BlockOperation operation, bool predicate, const Where& where) {
    return in_kernel->wait_for_block(operation, predicate, where);
}

[[gnu::flatten]] std::uint64_t wait_for_warp(WarpOperation operation, unsigned mask, std::uint64_t value,
                                             int source, const Where& where) {
    return in_kernel->wait_for_warp(operation, mask, value, source, nullptr, nullptr, where);
}

[[gnu::flatten]] void compute_with_warp(WarpOperation operation, void* data, void (*compute)(void* const*),
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
    const Unseen unseen;
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
