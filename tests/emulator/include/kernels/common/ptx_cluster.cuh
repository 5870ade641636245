// The emulated device's kernels/common/ptx_cluster.cuh: the same functions with the same arguments, documented
// there; the checks are listed in tests/emulator/scheduler.h.
#pragma once

#include "kernels/common/ptx.cuh"

namespace cuda {

inline int cluster_rank() {
    return emulator::cluster_rank();
}
inline int cluster_ranks() {
    return emulator::cluster_ranks();
}

inline void cluster_arrive(const emulator::Where& where = emulator::Where::current()) {
    emulator::arrive_at_cluster(where);
}
inline void cluster_wait(const emulator::Where& where = emulator::Where::current()) {
    emulator::wait_for_cluster(where);
}
inline void cluster_barrier(const emulator::Where& where = emulator::Where::current()) {
    emulator::arrive_at_cluster(where);
    emulator::wait_for_cluster(where);
}

template <class T>
inline void store_to_rank(T* shared, int rank, const Packed<T>& values) {
    emulator::require_aligned(shared, "store_to_rank");
    emulator::store_to_rank(shared, rank, &values, sizeof values);
}
template <class T>
inline void store_value_to_rank(T* shared, int rank, const T& value) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8);
    emulator::store_to_rank(shared, rank, &value, sizeof value);
}
template <class T>
inline Packed<T> load_from_rank(const T* shared, int rank) {
    emulator::require_aligned(shared, "load_from_rank");
    Packed<T> values;
    emulator::load_from_rank(&values, shared, rank, sizeof values);
    return values;
}

// The value of an initialised barrier tells a sanitizer of threads that use it without a barrier between.
inline void mbarrier_init(std::uint64_t* barrier, unsigned arrivals) {
    emulator::start_mbarrier(barrier, arrivals);
    *barrier = arrivals;
}
inline void mbarrier_arrive(std::uint64_t* barrier, unsigned bytes) {
    emulator::arrive_at_mbarrier(barrier, bytes);
}
inline void mbarrier_wait(std::uint64_t* barrier, unsigned parity,
                          const emulator::Where& where = emulator::Where::current()) {
    if (*barrier != 0) emulator::wait_for_mbarrier(barrier, parity, where);
}
inline void copy_bulk(void* shared, const void* global, unsigned bytes, std::uint64_t* barrier) {
    emulator::start_bulk_copy(shared, global, bytes, barrier);
}

}  // namespace cuda
