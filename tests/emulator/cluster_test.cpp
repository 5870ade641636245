// Clusters, the shared memory of partners, mbarriers and bulk copies on the emulated device, and the mistakes
// with them that it has to find.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "kernels/common/cluster.cuh"
#include "tests/emulator/emulated_device.h"
#include "tests/emulator/run_threads.h"

using namespace emulator;

namespace {

// Faults are intended: nothing on stderr, and forward order, on which the reports depend.
struct Quiet {
    Quiet() {
        emulated_device().quiet = true;
        emulated_device().order = {};
    }
    ~Quiet() { emulated_device() = before; }
    EmulatedDevice before = emulated_device();
};

bool reported(const char* words) {
    CAPTURE(last_report());
    return last_report().find(words) != std::string::npos;
}

template <class Function>
cudaError_t run_clusters(unsigned blocks, unsigned ranks, unsigned threads, Function function) {
    cudaLaunchAttribute cluster{};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {ranks, 1, 1};
    const cudaLaunchConfig_t config{blocks, threads, 16 * 1024, nullptr, &cluster, 1};
    return cudaLaunchKernelEx(&config, call<Function>, function);
}

cuda::Packed<float> filled(float value) {
    return {{value, value, value, value}};
}

constexpr unsigned copied = 256;  // bytes of a bulk copy

// One thread waits for a bulk copy of so many bytes into a shared array, and stores what came.
struct BulkCopy {
    const float* from;
    float* out;
    unsigned bytes = copied, expected = copied, parity = 0;
    bool waits = true;

    void operator()() const {
        cuda::SharedMemory shared;
        auto* const values = shared.take<float>(2 * copied / sizeof(float));
        auto* const barrier = shared.take<std::uint64_t>(1);
        if (threadIdx.x == 0) {
            cuda::mbarrier_init(barrier, 1);
            cuda::mbarrier_arrive(barrier, expected);
            cuda::copy_bulk(values, from, bytes, barrier);
        }
        __syncthreads();
        if (waits) cuda::mbarrier_wait(barrier, parity);
        out[threadIdx.x] = values[threadIdx.x];
    }
};

}  // namespace

TEST_CASE("emulated device: blocks of a cluster know their ranks, meet, and exchange shared memory") {
    for (const unsigned ranks : {1u, 2u, 3u, 8u}) {
        constexpr unsigned threads = 40;
        const unsigned clusters = 2, blocks = clusters * ranks;
        const DeviceArray<float> results(blocks * threads), loaded(blocks * threads);
        float *const out = results.data(), *const seen = loaded.data();
        REQUIRE(run_clusters(blocks, ranks, threads, [=] {
                    cuda::SharedMemory shared;
                    auto* const mine = shared.take<float>(4 * threads);
                    auto* const theirs = shared.take<float>(4 * threads);
                    const int next = (cuda::cluster_rank() + 1) % cuda::cluster_ranks();
                    const auto thread = static_cast<unsigned>(threadIdx.x);
                    cuda::store_packed(mine + 4 * thread,
                                       filled(static_cast<float>(100 * blockIdx.x + thread)));
                    cuda::cluster_barrier();
                    cuda::store_to_rank(theirs + 4 * thread, next, cuda::load_packed(mine + 4 * thread));
                    const float of_next = cuda::load_from_rank(mine + 4 * thread, next)[3];
                    cuda::cluster_barrier();
                    out[blockIdx.x * threads + thread] = theirs[4 * ((thread + 7) % threads)];
                    seen[blockIdx.x * threads + thread] = of_next;
                }) == cudaSuccess);
        const std::vector<float> values = results.values(), of_next = loaded.values();
        for (unsigned block = 0; block < blocks; ++block)
            for (unsigned thread = 0; thread < threads; ++thread) {
                const unsigned first = block / ranks * ranks, before = first + (block + ranks - 1) % ranks,
                               behind = first + (block + 1 - first) % ranks;
                CHECK(values[block * threads + thread] ==
                      static_cast<float>(100 * before + (thread + 7) % threads));
                CHECK(of_next[block * threads + thread] == static_cast<float>(100 * behind + thread));
            }
    }
}

TEST_CASE_FIXTURE(Quiet, "emulated device: clusters of up to 8 blocks, 16 where the kernel allows them") {
    const auto nothing = [] {};
    CHECK(run_clusters(16, 8, 1, nothing) == cudaSuccess);
    CHECK(run_clusters(16, 16, 1, nothing) == cudaErrorInvalidClusterSize);
    CHECK(run_clusters(9, 2, 1, nothing) == cudaErrorInvalidClusterSize);
    const auto kernel = call<std::remove_const_t<decltype(nothing)>>;
    CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1) == cudaSuccess);
    CHECK(run_clusters(16, 16, 1, nothing) == cudaSuccess);
    CHECK(run_clusters(17, 17, 1, nothing) == cudaErrorInvalidClusterSize);
    CHECK(cuda::resident_clusters(kernel, {16, 16, 32, 1024}) == 8);
    CHECK(cuda::resident_clusters(kernel, {16, 16, 32, 300 * 1024}) == 0);
    emulated_device().major = 8;
    CHECK(run_clusters(16, 8, 1, nothing) == cudaErrorInvalidClusterSize);
    CHECK(cuda::resident_clusters(kernel, {16, 16, 32, 1024}) == 0);
}

TEST_CASE_FIXTURE(Quiet, "emulated device: a partner's shared memory without a barrier of the cluster") {
    // In front of the first one the partner may not have started.
    const auto early = [] {
        cuda::SharedMemory shared;
        auto* const values = shared.take<float>(4);
        cuda::load_from_rank(values, 1 - cuda::cluster_rank());
    };
    CHECK(run_clusters(2, 2, 1, early) == cudaErrorLaunchFailure);
    CHECK(reported("rank 1 before the first barrier of the cluster"));

    // The partner writes between its barrier and the read.
    const auto unordered = [] {
        cuda::SharedMemory shared;
        auto* const values = shared.take<float>(4);
        cuda::cluster_barrier();
        if (cuda::cluster_rank() == 0) values[2] = 1;
        if (cuda::cluster_rank() == 1) cuda::load_from_rank(values, 0);
        cuda::cluster_barrier();
    };
    CHECK(run_clusters(2, 2, 1, unordered) == cudaErrorLaunchFailure);
    CHECK(reported("block (1, 0, 0)"));
    CHECK(reported("without a barrier of the cluster between"));

    // A store that has not arrived is not a number to the partner, and must not be read back.
    const DeviceArray<float> seen(2);
    float* const out = seen.data();
    REQUIRE(run_clusters(2, 2, 1, [=] {
                cuda::SharedMemory shared;
                auto* const values = shared.take<float>(4);
                values[0] = 3;
                cuda::cluster_barrier();
                if (cuda::cluster_rank() == 0) cuda::store_to_rank(values, 1, filled(5));
                __syncthreads();
                if (cuda::cluster_rank() == 1) out[0] = values[0];
                cuda::cluster_barrier();
                if (cuda::cluster_rank() == 1) out[1] = values[0];
            }) == cudaSuccess);
    CHECK(std::isnan(seen.values()[0]));
    CHECK(seen.values()[1] == 5);
}

TEST_CASE_FIXTURE(Quiet, "emulated device: a block ends before its partner's last access") {
    const auto read_late = [] {
        cuda::SharedMemory shared;
        auto* const values = shared.take<float>(4);
        cuda::cluster_barrier();
        if (cuda::cluster_rank() == 1) cuda::load_from_rank(values, 0);
    };
    CHECK(run_clusters(2, 2, 1, read_late) == cudaErrorLaunchFailure);
    CHECK(reported("reads the shared memory of rank 0, whose block has ended"));
    const auto store_late = [] {
        cuda::SharedMemory shared;
        auto* const values = shared.take<float>(4);
        cuda::cluster_barrier();
        if (cuda::cluster_rank() == 0) cuda::store_to_rank(values, 1, filled(1));
    };
    CHECK(run_clusters(2, 2, 1, store_late) == cudaErrorLaunchFailure);
    CHECK(reported("before a store of rank 0 into its shared memory is there"));
}

TEST_CASE_FIXTURE(Quiet, "emulated device: addresses and alignment of accesses to partners") {
    const auto unaligned = [] {
        cuda::SharedMemory shared;
        auto* const values = shared.take<float>(8);
        cuda::cluster_barrier();
        cuda::store_to_rank(values + 1, 0, filled(1));
        cuda::cluster_barrier();
    };
    CHECK(run_clusters(2, 2, 1, unaligned) == cudaErrorLaunchFailure);
    CHECK(reported("store_to_rank is not a multiple of 16 bytes"));
    for (const int past : {4, 1000}) {
        const auto outside = [=] {
            cuda::SharedMemory shared;
            auto* const values = shared.take<float>(4);
            cuda::cluster_barrier();
            cuda::store_to_rank(values + past, 1, filled(1));
            cuda::cluster_barrier();
        };
        CHECK(run_clusters(2, 2, 1, outside) == cudaErrorLaunchFailure);
        CHECK(reported("at an address that is in no shared array there"));
    }
    const auto no_such_rank = [] {
        cuda::SharedMemory shared;
        auto* const values = shared.take<float>(4);
        cuda::cluster_barrier();
        cuda::store_to_rank(values, 2, filled(1));
    };
    CHECK(run_clusters(2, 2, 1, no_such_rank) == cudaErrorLaunchFailure);
    CHECK(reported("rank 2 of a cluster of 2"));
}

TEST_CASE_FIXTURE(Quiet, "emulated device: barriers of a cluster that some threads never reach") {
    const auto missing = [] {
        cuda::cluster_barrier();
        if (threadIdx.x == 3 && cuda::cluster_rank() == 1) __syncthreads();
        cuda::cluster_barrier();
    };
    CHECK(run_clusters(2, 2, 8, missing) == cudaErrorLaunchFailure);
    CHECK(reported("waits for the cluster at"));
    CHECK(reported("15 of 16 threads arrived"));
    CHECK(run_clusters(2, 2, 8, [] { cuda::cluster_wait(); }) == cudaErrorLaunchFailure);
    CHECK(reported("waits for the cluster without having arrived"));
    const auto twice = [] {
        cuda::cluster_arrive();
        cuda::cluster_arrive();
    };
    CHECK(run_clusters(2, 2, 8, twice) == cudaErrorLaunchFailure);
    CHECK(reported("arrives at the cluster's barrier again"));
    // Threads that have ended are not waited for.
    const auto some_end = [] {
        if (threadIdx.x < 4) cuda::cluster_barrier();
    };
    CHECK(run_clusters(2, 2, 8, some_end) == cudaSuccess);
}

TEST_CASE_FIXTURE(Quiet, "emulated device: bulk copies arrive with the phase of their mbarrier") {
    std::vector<float> values(2 * copied / sizeof(float));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    const DeviceArray<float> from(values);
    const DeviceArray<float> to(64);
    const BulkCopy right{from.data(), to.data()};
    REQUIRE(run_threads(1, 64, 1024, right) == cudaSuccess);
    for (std::size_t i = 0; i < 64; ++i) CHECK(to.values()[i] == values[i]);

    // The phase before is over from the start: no number has come.
    BulkCopy wrong_parity = right;
    wrong_parity.parity = 1;
    CHECK(run_threads(1, 64, 1024, wrong_parity) == cudaErrorLaunchFailure);
    CHECK(std::isnan(to.values()[0]));
    CHECK(reported("while bulk copies of 256 bytes into its shared memory are in flight"));

    // Phases follow one another, and a wait for one that has ended returns at once.
    const DeviceArray<float> sums(1);
    const float* const source = from.data();
    float* const sum = sums.data();
    REQUIRE(run_threads(1, 1, 1024, [=] {
                cuda::SharedMemory shared;
                auto* const part = shared.take<float>(16);
                auto* const barrier = shared.take<std::uint64_t>(1);
                cuda::mbarrier_init(barrier, 1);
                float total = 0;
                for (unsigned i = 0; i < 4; ++i) {
                    cuda::mbarrier_arrive(barrier, 64);
                    cuda::copy_bulk(part, source + 16 * i, 64, barrier);
                    cuda::mbarrier_wait(barrier, i % 2);
                    cuda::mbarrier_wait(barrier, i % 2);
                    total += part[15];
                }
                *sum = total;
            }) == cudaSuccess);
    CHECK(sums.values()[0] == 15 + 31 + 47 + 63);
}

TEST_CASE_FIXTURE(Quiet, "emulated device: mistakes with bulk copies and mbarriers") {
    const DeviceArray<float> from(2 * copied / sizeof(float)), to(64);
    const BulkCopy right{from.data(), to.data()};
    const auto fails = [&](BulkCopy copy, const char* words) {
        CHECK(run_threads(1, 64, 1024, copy) == cudaErrorLaunchFailure);
        CHECK(reported(words));
    };
    BulkCopy copy = right;
    copy.expected = copied - 16;
    fails(copy, "bulk copies bring 256 bytes to an mbarrier that expects 240");
    copy = right;
    copy.expected = copied + 16;
    fails(copy, "lacks 0 of 1 arrivals and got 256 of 272 bytes");
    copy = right;
    copy.bytes = copy.expected = 40;
    fails(copy, "a bulk copy of 40 bytes, no multiple of 16");
    copy = right;
    copy.from += 1;
    fails(copy, "a bulk copy's global address is not a multiple of 16 bytes");
    copy = right;
    copy.bytes = copy.expected = 4 * copied;
    fails(copy, "a bulk copy's target is not in the block's shared memory");
    copy = right;
    copy.waits = false;
    fails(copy, "are in flight");

    const auto uninitialised = [] {
        cuda::SharedMemory shared;
        auto* const barrier = shared.take<std::uint64_t>(1);
        cuda::mbarrier_wait(barrier, 0);
    };
    CHECK(run_threads(1, 1, 1024, uninitialised) == cudaErrorLaunchFailure);
    CHECK(reported("uses an mbarrier that was not initialised"));
    const auto lonely = [] {
        cuda::SharedMemory shared;
        auto* const barrier = shared.take<std::uint64_t>(1);
        cuda::mbarrier_init(barrier, 2);
        cuda::mbarrier_arrive(barrier, 0);
        cuda::mbarrier_wait(barrier, 0);
    };
    CHECK(run_threads(1, 1, 1024, lonely) == cudaErrorLaunchFailure);
    CHECK(reported("lacks 1 of 2 arrivals"));
}
