// Clusters: their barrier, the shared memory of partners, mbarriers and bulk copies. The scheduler runs the
// threads of a cluster's blocks together.
#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "tests/emulator/tensor_core.h"
#include "tests/emulator/worker.h"

namespace emulator {

// ---- the cluster's barrier --------------------------------------------------------------------------------

void Worker::arrive_at_cluster(const Where&) {
    if (current_->cluster_barrier >= 0) fail("arrives at the cluster's barrier again without having waited");
    current_->cluster_barrier = cluster_barriers_;
    release(&cluster_sync_[static_cast<std::size_t>(cluster_barriers_ % 2)]);
    ++cluster_arrivals_;
    end_cluster_barrier_if_all_arrived();
}

void Worker::wait_for_cluster(const Where& where) {
    const int barrier = std::exchange(current_->cluster_barrier, -1);
    if (barrier < 0) fail("waits for the cluster without having arrived at its barrier");
    if (barrier == cluster_barriers_) {
        current_->state = State::waits_for_cluster;
        current_->where = where;
    } else {
        block().make_ready(current_->number);  // others first, if the order says so
    }
    leave();
    acquire(&cluster_sync_[static_cast<std::size_t>(barrier % 2)]);
}

// Threads that have ended are not waited for. Stores into partners' memory become visible, and what is in
// shared memory now is what partners may read until the next barrier.
void Worker::end_cluster_barrier_if_all_arrived() {
    const Unseen unseen;
    if (cluster_arrivals_ == 0 || cluster_arrivals_ < alive()) return;
    cluster_arrivals_ = 0;
    ++cluster_barriers_;
    for (const RemoteStore& store : stores_) std::memcpy(store.to, store.value.data(), store.bytes);
    stores_.clear();
    for (int rank = 0; rank < ranks_; ++rank) {
        Block& block = *blocks_[static_cast<std::size_t>(rank)];
        block.shared.publish();
        for (int number = 0; number < block.threads; ++number)
            if (Thread& thread = block.all_threads[number]; thread.state == State::waits_for_cluster) {
                thread.state = State::ready;
                block.make_ready(number);
            }
    }
}

// By a block's last thread.
void Worker::end_block() {
    if (current_->cluster_barrier >= 0)
        fail("ends between arriving at the cluster's barrier and waiting for it");
    for (const RemoteStore& store : stores_)
        if (store.to_rank == block().rank) {
            std::string message = fmt::format(
                "ends, the last of its block, before a store of rank {} into its shared memory is there: no "
                "barrier of the cluster lies between",
                store.from_rank);
            fail(std::move(message));
        }
    if (const std::size_t bytes = block().mbarriers.bytes_in_flight(); bytes > 0) {
        std::string message = fmt::format(
            "ends, the last of its block, while bulk copies of {} bytes into its shared memory are in flight",
            bytes);
        fail(std::move(message));
    }
}

// ---- shared memory of partners ----------------------------------------------------------------------------

std::byte* Worker::at_rank(const void* shared, int rank, std::size_t bytes, const char* what) {
    std::string problem;
    std::byte* at = nullptr;
    if (rank < 0 || rank >= ranks_) {
        problem = fmt::format("{} rank {} of a cluster of {}", what, rank, ranks_);
    } else if (cluster_barriers_ == 0 && rank != block().rank) {
        problem = fmt::format(
            "{} rank {} before the first barrier of the cluster, when it may not have started", what, rank);
    } else {
        Block& partner = *blocks_[static_cast<std::size_t>(rank)];
        at = partner.shared.at(block().shared.offset(shared), bytes);
        if (partner.alive == 0)
            problem = fmt::format("{} rank {}, whose block has ended", what, rank);
        else if (at == nullptr)
            problem = fmt::format("{} rank {} at an address that is in no shared array there", what, rank);
    }
    if (!problem.empty()) fail(std::move(problem));
    return at;
}

// Until the next barrier of the cluster, the memory holds NaN.
void Worker::store_to_rank(void* shared, int rank, const void* value, std::size_t bytes) {
    std::byte* const to = at_rank(shared, rank, bytes, "stores into the shared memory of");
    std::memset(to, 0xFF, bytes);
    const Unseen unseen;
    RemoteStore store{to, block().rank, rank, bytes, {}};
    std::memcpy(store.value.data(), value, bytes);
    stores_.push_back(store);
}

// What has changed since the last barrier of the cluster must not be read.
void Worker::load_from_rank(void* value, const void* shared, int rank, std::size_t bytes) {
    const std::byte* const from = at_rank(shared, rank, bytes, "reads the shared memory of");
    std::memcpy(value, from, bytes);
    const std::byte* const published = blocks_[static_cast<std::size_t>(rank)]->shared.published(from);
    if (std::memcmp(published, value, bytes) == 0) return;
    std::string message = fmt::format(
        "reads what was written into the shared memory of rank {} without a barrier of the cluster between",
        rank);
    fail(std::move(message));
}

// ---- mbarriers --------------------------------------------------------------------------------------------

void Worker::wait_for_mbarrier(const std::uint64_t* barrier, unsigned parity, const Where& where) {
    for (bool complete = false; !complete;) {
        std::string problem = block().mbarriers.wait(barrier, parity, current_->number, complete);
        if (!problem.empty()) fail(std::move(problem));
        if (complete) break;
        current_->state = State::waits_for_mbarrier;
        current_->where = where;
        leave();
    }
}

// ---- the calls of threads ---------------------------------------------------------------------------------

namespace {

void fail_if(std::string problem) {
    if (!problem.empty()) fail(std::move(problem));
}

void require_shared(const void* address, std::size_t bytes, const char* what) {
    SharedArrays& shared = in_kernel->block().shared;
    if (shared.at(shared.offset(address), bytes) == nullptr)
        fail_if(fmt::format("{} is not in the block's shared memory", what));
}

// Threads that waited for the barrier look again.
void wake_up(const std::uint64_t* barrier) {
    Block& block = in_kernel->block();
    for (const int thread : block.mbarriers.wake_up(barrier)) block.make_ready(thread);
}

}  // namespace

int cluster_rank() {
    return in_kernel->block().rank;
}
int cluster_ranks() {
    return in_kernel->ranks();
}
void arrive_at_cluster(const Where& where) {
    in_kernel->arrive_at_cluster(where);
}
void wait_for_cluster(const Where& where) {
    in_kernel->wait_for_cluster(where);
}
void store_to_rank(void* shared, int rank, const void* value, std::size_t bytes) {
    in_kernel->store_to_rank(shared, rank, value, bytes);
}
void load_from_rank(void* value, const void* shared, int rank, std::size_t bytes) {
    in_kernel->load_from_rank(value, shared, rank, bytes);
}

void start_mbarrier(std::uint64_t* barrier, unsigned arrivals) {
    require_shared(barrier, sizeof *barrier, "an mbarrier");
    fail_if(in_kernel->block().mbarriers.start(barrier, arrivals));
}
void arrive_at_mbarrier(std::uint64_t* barrier, unsigned bytes) {
    fail_if(in_kernel->block().mbarriers.arrive(barrier, bytes));
    wake_up(barrier);
}
void start_bulk_copy(void* shared, const void* global, unsigned bytes, std::uint64_t* barrier) {
    require_aligned(shared, "a bulk copy's shared address");
    require_aligned(global, "a bulk copy's global address");
    if (bytes % 16 != 0 || bytes == 0)
        fail_if(fmt::format("a bulk copy of {} bytes, no multiple of 16", bytes));
    require_shared(shared, bytes, "a bulk copy's target");
    std::memset(shared, 0xFF, bytes);
    fail_if(in_kernel->block().mbarriers.copy(barrier, shared, global, bytes));
    wake_up(barrier);
}
void wait_for_mbarrier(const std::uint64_t* barrier, unsigned parity, const Where& where) {
    in_kernel->wait_for_mbarrier(barrier, parity, where);
}

}  // namespace emulator
