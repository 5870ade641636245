// Wrappers of the inline PTX of clusters: barrier.cluster, mapa with ld and st.shared::cluster, mbarrier,
// cp.async.bulk. For sm_90 and newer: a kernel that is also compiled for older ones calls them only where
// __CUDA_ARCH__ is at least 900. As ptx.cuh, the emulated device has a version of this file with checks.
//
// Source: PTX ISA, "barrier.cluster", "mapa", "mbarrier", "cp.async.bulk".
#pragma once

#include "kernels/common/ptx.cuh"

namespace cuda {

// This block's rank in its cluster, and the number of ranks.
__device__ inline int cluster_rank() {
    std::uint32_t rank = 0;
    asm volatile("mov.u32 %0, %%cluster_ctarank;\n" : "=r"(rank));
    return static_cast<int>(rank);
}
__device__ inline int cluster_ranks() {
    std::uint32_t ranks = 0;
    asm volatile("mov.u32 %0, %%cluster_nctarank;\n" : "=r"(ranks));
    return static_cast<int>(ranks);
}

// The barrier of all threads of the cluster, in two halves: what a thread did before it arrived is visible to
// those that have waited. A partner's shared memory exists from the first barrier on until the partner ends:
// the last access to it lies in front of a barrier.
__device__ inline void cluster_arrive() {
    asm volatile("barrier.cluster.arrive.release.aligned;\n" ::: "memory");
}
__device__ inline void cluster_wait() {
    asm volatile("barrier.cluster.wait.acquire.aligned;\n" ::: "memory");
}
__device__ inline void cluster_barrier() {
    cluster_arrive();
    cluster_wait();
}

// Where block `rank` has the array that the calling block has at `shared`.
__device__ inline std::uint32_t address_at_rank(const void* shared, int rank) {
    std::uint32_t address = 0;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;\n"
                 : "=r"(address)
                 : "r"(shared_address(shared)), "r"(rank));
    return address;
}

// 16 bytes to and from the shared memory of block `rank`, at the address at which the calling block has
// `shared`, 16-byte aligned. Blocks have the same arrays at the same addresses. A store is visible behind the
// next barrier of the cluster.
template <class T>
__device__ inline void store_to_rank(T* shared, int rank, const Packed<T>& values) {
    const std::uint32_t address = address_at_rank(shared, rank);
    const auto* words = reinterpret_cast<const std::uint32_t*>(&values);
    asm volatile("st.shared::cluster.v4.b32 [%0], {%1,%2,%3,%4};\n" ::"r"(address), "r"(words[0]),
                 "r"(words[1]), "r"(words[2]), "r"(words[3])
                 : "memory");
}
// The same of one value of 4 or 8 bytes.
template <class T>
__device__ inline void store_value_to_rank(T* shared, int rank, const T& value) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8);
    const std::uint32_t address = address_at_rank(shared, rank);
    const auto* words = reinterpret_cast<const std::uint32_t*>(&value);
    if constexpr (sizeof(T) == 4)
        asm volatile("st.shared::cluster.b32 [%0], %1;\n" ::"r"(address), "r"(words[0]) : "memory");
    else
        asm volatile("st.shared::cluster.v2.b32 [%0], {%1,%2};\n" ::"r"(address), "r"(words[0]), "r"(words[1])
                     : "memory");
}
template <class T>
__device__ inline Packed<T> load_from_rank(const T* shared, int rank) {
    const std::uint32_t address = address_at_rank(shared, rank);
    Packed<T> values{};
    auto* words = reinterpret_cast<std::uint32_t*>(&values);
    asm volatile("ld.shared::cluster.v4.b32 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(address)
                 : "memory");
    return values;
}

// An mbarrier in shared memory counts the arrivals and the bytes of each of its phases. Its initialisation is
// visible to this thread's bulk copies, to other threads after a barrier.
__device__ inline void mbarrier_init(std::uint64_t* barrier, unsigned arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\nfence.proxy.async.shared::cta;\n" ::"r"(
                     shared_address(barrier)),
                 "r"(arrivals)
                 : "memory");
}
// Arrives, and lets the phase wait for `bytes` bytes more of bulk copies.
__device__ inline void mbarrier_arrive(std::uint64_t* barrier, unsigned bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(shared_address(barrier)),
                 "r"(bytes)
                 : "memory");
}
// Waits for the end of the phase of this parity: 0 for the first, 1 for the second, 0 for the third.
__device__ inline void mbarrier_wait(std::uint64_t* barrier, unsigned parity) {
    std::uint32_t complete = 0;
    while (complete == 0)
        asm volatile(
            "{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, "
            "p;\n}\n"
            : "=r"(complete)
            : "r"(shared_address(barrier)), "r"(parity)
            : "memory");
}
// Starts copying `bytes` bytes, a multiple of 16, from global to shared memory, both 16-byte aligned: by one
// thread, for the phase of `barrier`. What was read there before is read: the threads have met at a barrier.
__device__ inline void copy_bulk(void* shared, const void* global, unsigned bytes, std::uint64_t* barrier) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];\n" ::"r"(
            shared_address(shared)),
        "l"(global), "r"(bytes), "r"(shared_address(barrier))
        : "memory");
}

}  // namespace cuda
