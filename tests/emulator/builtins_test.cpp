#include <doctest/doctest.h>

#include <limits>

#include "tests/emulator/run_threads.h"

using namespace emulator;

TEST_CASE("emulated device: every thread of a grid runs once, at its place") {
    const dim3 grid(3, 2, 2), block(5, 3, 2);
    const DeviceArray<int> runs(std::vector<int>(360, 0));
    int* const out = runs.data();
    REQUIRE(run_threads(grid, block, 0, [=] {
                const unsigned in_block = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
                const unsigned number = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
                ++out[number * blockDim.x * blockDim.y * blockDim.z + in_block];
            }) == cudaSuccess);
    CHECK(runs.values() == std::vector<int>(360, 1));
}

TEST_CASE("emulated device: what a thread wrote before a barrier, others read behind it") {
    const DeviceArray<int> results(1024);
    int* const out = results.data();
    REQUIRE(run_threads(1, 1024, 4096, [=] {
                cuda::SharedMemory shared;
                int* const values = shared.take<int>(1024);
                const int me = static_cast<int>(threadIdx.x);
                values[me] = me;
                for (int round = 0; round < 10; ++round) {
                    __syncthreads();
                    const int next = values[(me + 1) % 1024];
                    __syncthreads();
                    values[me] = next;
                }
                out[me] = values[me];
            }) == cudaSuccess);
    const std::vector<int> values = results.values();
    for (int i = 0; i < 1024; ++i) CHECK(values[i] == (i + 10) % 1024);
}

TEST_CASE("emulated device: barriers that count") {
    const auto counts = results_of(96, [](int i) { return __syncthreads_count(i % 3 == 0); });
    CHECK(counts == std::vector<int>(96, 32));
    const auto some =
        results_of(96, [](int i) { return __syncthreads_or(i == 95) + 2 * __syncthreads_or(0); });
    CHECK(some == std::vector<int>(96, 1));
    const auto all =
        results_of(96, [](int i) { return __syncthreads_and(i != 95) + 2 * __syncthreads_and(1); });
    CHECK(all == std::vector<int>(96, 2));
}

TEST_CASE("emulated device: shuffles") {
    constexpr unsigned all = 0xFFFFFFFFu;
    const auto broadcast = results_of(64, [](int i) { return __shfl_sync(all, 1.5f * i, 7); });
    const auto eighths = results_of(64, [](int i) { return __shfl_sync(all, i, 9, 8); });
    const auto up = results_of(64, [](int i) { return __shfl_up_sync(all, 10ull * i, 3, 16); });
    const auto down = results_of(64, [](int i) { return __shfl_down_sync(all, 0.5 * i, 5); });
    const auto exchanged = results_of(64, [](int i) { return __shfl_xor_sync(all, unsigned(i), 21); });
    const auto narrow = results_of(64, [](int i) { return __shfl_xor_sync(all, i, 8, 8); });
    for (int i = 0; i < 64; ++i) {
        const int warp = i / 32 * 32;
        CHECK(broadcast[i] == 1.5f * (warp + 7));
        CHECK(eighths[i] == i / 8 * 8 + 1);
        CHECK(up[i] == 10ull * (i % 16 < 3 ? i : i - 3));
        CHECK(down[i] == 0.5 * (i % 32 > 26 ? i : i + 5));
        CHECK(exchanged[i] == unsigned(i ^ 21));
        // Only earlier segments can be read from.
        CHECK(narrow[i] == (i % 16 < 8 ? i : i - 8));
    }
}

TEST_CASE("emulated device: lanes of a mask exchange values without the others") {
    const auto halves = results_of(32, [](int i) {
        const unsigned mask = i < 16 ? 0x0000FFFFu : 0xFFFF0000u;
        int sum = i;
        // The halves take different numbers of steps.
        for (int round = 0; round < (i < 16 ? 1 : 3); ++round)
            for (int distance = 8; distance > 0; distance /= 2) sum += __shfl_xor_sync(mask, sum, distance);
        return sum;
    });
    for (int i = 0; i < 32; ++i) CHECK(halves[i] == (i < 16 ? 120 : 376 * 256));
}

TEST_CASE("emulated device: votes") {
    constexpr unsigned all = 0xFFFFFFFFu;
    const auto ballots = results_of(64, [](int i) { return __ballot_sync(all, i % 5 == 0); });
    const auto any = results_of(64, [](int i) { return __any_sync(all, i == 40); });
    const auto every = results_of(64, [](int i) { return __all_sync(all, i != 40); });
    for (int i = 0; i < 64; ++i) {
        unsigned expected = 0;
        for (int lane = 0; lane < 32; ++lane) expected |= unsigned((i / 32 * 32 + lane) % 5 == 0) << lane;
        CHECK(ballots[i] == expected);
        CHECK(any[i] == (i >= 32));
        CHECK(every[i] == (i < 32));
    }
    const auto part = results_of(32, [](int i) { return i < 4 ? __ballot_sync(0xFu, i != 2) : 0; });
    CHECK(part[0] == 0b1011);
    CHECK(part[4] == 0);
}

TEST_CASE("emulated device: atomics return the old value") {
    const DeviceArray<int> memory(std::vector<int>{0, 0, 1000, 5, 0});
    int* const at = memory.data();
    const DeviceArray<int> tickets(256);
    int* const out = tickets.data();
    REQUIRE(run_threads(2, 128, 0, [=] {
                const int me = static_cast<int>(blockIdx.x * 128 + threadIdx.x);
                out[atomicAdd(at, 1)] = me;
                atomicMax(at + 1, me);
                atomicMin(at + 2, me);
                atomicCAS(at + 3, 5, me + 10);
                atomicExch(at + 4, 77);
            }) == cudaSuccess);
    const std::vector<int> after = memory.values();
    CHECK(after[0] == 256);
    CHECK(after[1] == 255);
    CHECK(after[2] == 0);
    CHECK(after[3] >= 10);
    CHECK(after[4] == 77);
    std::vector<int> seen(256, 0);
    for (const int each : tickets.values()) ++seen[each];
    CHECK(seen == std::vector<int>(256, 1));
}

TEST_CASE("emulated device: products and sums of one rounding each are not contracted") {
    volatile float a = 1 + 0x1p-12f, c = -1 - 0x1p-11f;
    const float product_rounded = __fadd_rn(__fmul_rn(a, a), c), fused = __fmaf_rn(a, a, c);
    CHECK(product_rounded == 0);
    CHECK(fused == 0x1p-24f);
    CHECK(__fsub_rn(__fmul_rn(a, a), -c) == 0);
    volatile double d = 1 + 0x1p-27, e = -1 - 0x1p-26;
    CHECK(__dadd_rn(__dmul_rn(d, d), e) == 0);
    CHECK(__fma_rn(d, d, e) == 0x1p-54);
}

TEST_CASE("emulated device: denormal floats are numbers, whatever the host does") {
    const auto halves = results_of(2, [](int i) { return 0x1p-126f * (i == 0 ? 1.0f : 0.5f); });
    CHECK(__float_as_uint(halves[1]) == 0x00400000u);
}

TEST_CASE("emulated device: conversions and bits") {
    CHECK(__float2int_rn(2.5f) == 2);
    CHECK(__float2int_rn(-3.5f) == -4);
    CHECK(__float2int_rz(-3.9f) == -3);
    CHECK(__float2int_rd(-3.1f) == -4);
    CHECK(__float2int_ru(3.1f) == 4);
    CHECK(__float2int_rn(NAN) == 0);
    CHECK(__float2int_rn(1e20f) == std::numeric_limits<int>::max());
    CHECK(__float2uint_rn(-1.0f) == 0);
    CHECK(__int_as_float(0x3F800000) == 1.0f);
    CHECK(__float_as_uint(-0.0f) == 0x80000000u);
    CHECK(__umulhi(0xFFFFFFFFu, 0xFFFFFFFFu) == 0xFFFFFFFEu);
    CHECK(__popc(0xF0F0u) == 8);
    CHECK(__clz(1) == 31);
    CHECK(__clz(0) == 32);
    CHECK(__ffs(8) == 4);
    CHECK(__ffs(0) == 0);
    CHECK(__brev(1u) == 0x80000000u);
    CHECK(min(3, -2) == -2);
    CHECK(max(3u, 2u) == 3u);
    CHECK(max(NAN, 2.0f) == 2.0f);
    CHECK(rsqrtf(4.0f) == 0.5f);
    CHECK(__fdividef(1.0f, 0x1p127f) == 0.0f);
}
