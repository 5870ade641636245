// Mistakes that the emulated device has to find. The kernels with mistakes exist only here.
#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <type_traits>

#include "tests/emulator/emulated_device.h"
#include "tests/emulator/run_threads.h"

using namespace emulator;

namespace {

// Intended faults: nothing on stderr, and forward order, on which the reports depend.
struct Quiet {
    Quiet() {
        emulated_device().quiet = true;
        emulated_device().order = {};
    }
    ~Quiet() { emulated_device() = before; }
    EmulatedDevice before = emulated_device();
};

// Whether the last report contains all of these.
template <class... Words>
bool reported(Words... words) {
    CAPTURE(last_report());
    const bool all = ((last_report().find(words) != std::string::npos) && ...);
    CHECK(all);
    return all;
}

__global__ void store(float* to, const float* from, int count) {
    for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) to[i] = from[i];
}

cudaError_t run_store(float* to, const float* from, int count) {
    const cudaLaunchConfig_t config{1, 32, 0, nullptr, nullptr, 0};
    return cudaLaunchKernelEx(&config, store, to, from, count);
}

}  // namespace

#ifndef __SANITIZE_ADDRESS__  // which ends the program there: fault_injection_test.cpp
TEST_CASE_FIXTURE(Quiet, "emulated device: a write behind a shared array is found at the end of the block") {
    for (const int past : {0, 3, 15}) {
        CHECK(run_threads(dim3(2), 64, 272 + 16, [=] {
                  cuda::SharedMemory shared;
                  int* const values = shared.take<int>(65);
                  shared.take<int>(4);
                  values[threadIdx.x] = 0;
                  if (threadIdx.x == 5 && blockIdx.x == 1) values[65 + past] = 7;
              }) == cudaErrorLaunchFailure);
        if (past == 0)
            reported("block (1, 0, 0)", "wrote 0 bytes behind the end of shared array 0, of 260 bytes");
    }
    CHECK(run_threads(1, 1, 16, [] {
              cuda::SharedMemory shared;
              shared.take<float>(4)[-1] = 1;
          }) == cudaErrorLaunchFailure);
    reported("wrote 1 bytes before shared array 0");
}
#endif

TEST_CASE_FIXTURE(Quiet, "emulated device: shared memory is not a number at the start of each block") {
    const DeviceArray<float> seen(3);
    float* const out = seen.data();
    REQUIRE(run_threads(3, 1, 64, [=] {
                cuda::SharedMemory shared;
                float* const values = shared.take<float>(16);
                out[blockIdx.x] = values[7];
                values[7] = 1;
            }) == cudaSuccess);
    for (const float each : seen.values()) CHECK(std::isnan(each));
}

TEST_CASE_FIXTURE(Quiet, "emulated device: shared arrays beyond the launch's or the device's memory") {
    CHECK(run_threads(1, 1, 256, [] {
              cuda::SharedMemory shared;
              shared.take<float>(64);
              shared.take<char>(1);
          }) == cudaErrorLaunchFailure);
    reported("takes 272 bytes of shared memory, the launch gave 256");
    const auto nothing = [] {};
    CHECK(run_threads(1, 1, 48 * 1024, nothing) == cudaSuccess);
    CHECK(run_threads(1, 1, 48 * 1024 + 1, nothing) == cudaErrorInvalidValue);
    const auto kernel = call<std::remove_const_t<decltype(nothing)>>;
    CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024 + 1) ==
          cudaErrorInvalidValue);
    CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 * 1024) ==
          cudaSuccess);
    CHECK(run_threads(1, 1, 100 * 1024, nothing) == cudaSuccess);
    CHECK(run_threads(1, 1, 100 * 1024 + 1, nothing) == cudaErrorInvalidValue);
}

TEST_CASE_FIXTURE(Quiet, "emulated device: threads that ask for different shared arrays") {
    CHECK(run_threads(1, 32, 1024, [] {
              cuda::SharedMemory shared;
              shared.take<float>(threadIdx.x == 9 ? 8 : 16);
          }) == cudaErrorLaunchFailure);
    reported("thread (9, 0, 0)", "32 bytes", "64");
}

TEST_CASE_FIXTURE(Quiet, "emulated device: a barrier that some threads never reach") {
    CHECK(run_threads(1, 64, 0, [] {
              if (threadIdx.x < 40) __syncthreads();
          }) == cudaErrorLaunchFailure);
    reported("40 of 64 threads wait at the barrier", "faults_test.cpp", "thread (40, 0, 0) ended");
    const auto two_barriers = [] {
        if (threadIdx.x < 40)
            __syncthreads();
        else
            __syncthreads();
    };
    CHECK(run_threads(1, 64, 0, two_barriers) == cudaErrorLaunchFailure);
    reported("thread (40, 0, 0)", "while 40 threads wait at the barrier");
    CHECK(run_threads(1, 64, 0, [] {
              if (threadIdx.x < 63)
                  __syncthreads();
              else
                  __syncwarp();
          }) == cudaErrorLaunchFailure);
    reported("thread (63, 0, 0) waits for lanes 0xffffffff", "thread (32, 0, 0) waits at the barrier");
}

TEST_CASE_FIXTURE(Quiet, "emulated device: lanes of a mask that are missing or elsewhere") {
    CHECK(run_threads(1, 48, 0, [] { __shfl_xor_sync(0xFFFFFFFFu, 1, 1); }) == cudaErrorLaunchFailure);
    reported("thread (32, 0, 0) waits for lanes 0xffffffff", "the block has no lane 16 there");
    CHECK(run_threads(1, 32, 0, [] {
              if (threadIdx.x != 3) __shfl_xor_sync(0xFFFFFFFFu, 1, 1);
          }) == cudaErrorLaunchFailure);
    reported("thread (3, 0, 0) ended");
    CHECK(run_threads(1, 32, 0, [] { __ballot_sync(0xFFFFu, 1); }) == cudaErrorLaunchFailure);
    reported("lane 16 names lanes 0x0000ffff, itself not among them");
    CHECK(run_threads(1, 32, 0, [] {
              if (threadIdx.x == 7)
                  __any_sync(0xFFFFFFFFu, 1);
              else
                  __all_sync(0xFFFFFFFFu, 1);
          }) == cudaErrorLaunchFailure);
    reported("is at __all_sync", "lane 7 at __any_sync");
    CHECK(run_threads(1, 32, 0, [] { __syncwarp(threadIdx.x < 16 ? 0xFFFFFFFFu : 0xFFFF0000u); }) ==
          cudaErrorLaunchFailure);
}

TEST_CASE_FIXTURE(Quiet, "emulated device: a matrix product needs its 32 lanes") {
    CHECK(run_threads(1, 32, 0, [] {
              float d[4] = {};
              const std::uint32_t a[4] = {}, b[2] = {};
              if (threadIdx.x != 31) cuda::mma_m16n8k16(d, a, b);
          }) == cudaErrorLaunchFailure);
    reported("thread (31, 0, 0) ended");
}

TEST_CASE_FIXTURE(Quiet, "emulated device: 16-byte accesses to addresses that are not multiples of 16") {
    const DeviceArray<float> array(std::vector<float>(64, 1));
    float* const memory = array.data();
    CHECK(run_threads(1, 1, 0, [=] { cuda::load_packed(memory + 1); }) == cudaErrorLaunchFailure);
    reported("load_packed", "multiple of 16");
    CHECK(run_threads(1, 1, 0, [=] { cuda::store_packed(memory + 2, cuda::Packed<float>{}); }) ==
          cudaErrorLaunchFailure);
    CHECK(run_threads(1, 1, 64, [=] {
              cuda::SharedMemory shared;
              cuda::copy_async_16(shared.take<float>(16), memory + 2);
          }) == cudaErrorLaunchFailure);
    CHECK(run_threads(1, 1, 64, [=] {
              cuda::SharedMemory shared;
              cuda::copy_async_16(shared.take<float>(16) + 1, memory);
          }) == cudaErrorLaunchFailure);
    CHECK(run_threads(1, 32, 1024, [] {
              cuda::SharedMemory shared;
              std::uint32_t r[4];
              cuda::ldmatrix_x4(r, shared.take<bf16>(512) + threadIdx.x * 9);
          }) == cudaErrorLaunchFailure);
    reported("thread (1, 0, 0)", "ldmatrix");
}

TEST_CASE_FIXTURE(Quiet, "emulated device: a kernel's pointers are null or device memory") {
    const DeviceArray<float> array(std::vector<float>(64, 1));
    std::vector<float> host(64);
    CHECK(run_store(array.data(), array.data(), 64) == cudaSuccess);
    CHECK(run_store(nullptr, nullptr, 0) == cudaSuccess);
    CHECK(run_store(array.data(), host.data(), 64) == cudaErrorIllegalAddress);
    reported("kernel (anonymous namespace)::store: argument 2", "no device memory");
    CHECK(run_store(array.data() + 65, host.data(), 0) == cudaErrorIllegalAddress);
    reported("argument 1 points to 4 bytes behind the end of an allocation of 256");
    CHECK(run_store(array.data() + 64, array.data(), 0) == cudaSuccess);  // an empty rest
    float* freed = nullptr;
    REQUIRE(cudaMalloc(&freed, 4) == cudaSuccess);
    REQUIRE(cudaFree(freed) == cudaSuccess);
    CHECK(run_store(freed, array.data(), 0) == cudaErrorIllegalAddress);
}

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE_FIXTURE(Quiet, "emulated device: accesses outside of allocations") {
    const DeviceArray<float> array(std::vector<float>(64, 1));
    CHECK(run_store(array.data(), array.data() + 64 - 31, 32) == cudaErrorIllegalAddress);
    reported("(anonymous namespace)::store", "thread (31, 0, 0)",
             "touches 0 bytes behind the end of an allocation of 256");
    CHECK(run_store(nullptr, array.data(), 1) == cudaErrorIllegalAddress);
    reported("touches the null pointer");
    const DeviceArray<char> small(std::vector<char>(10, 1));
    char* const memory = small.data();
    CHECK(run_threads(1, 1, 0, [=] { memory[12] = 1; }) == cudaErrorLaunchFailure);
    reported("wrote 2 bytes behind the end of an allocation of 10");
}

TEST_CASE_FIXTURE(Quiet, "emulated device: an integer division by zero") {
    const auto divide = results_of(1, [](int i) { return 7 / (i + 1); });
    CHECK(divide[0] == 7);
    volatile int zero = 0;
    volatile int* const address = &zero;
    CHECK(run_threads(1, 1, 0, [=] { *address = 7 / *address; }) == cudaErrorLaunchFailure);
    reported("divides an integer by zero");
}
#endif

TEST_CASE_FIXTURE(Quiet, "emulated device: an exception ends the kernel, and the next one runs") {
    CHECK(run_threads(4, 64, 0, [] {
              __syncthreads();
              if (threadIdx.x == 17 && blockIdx.x == 0) throw std::runtime_error("of a test");
              __syncthreads();
          }) == cudaErrorLaunchFailure);
    reported("block (0, 0, 0): thread (17, 0, 0): threw: of a test");
    CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
    CHECK(cudaGetLastError() == cudaSuccess);
    CHECK(run_threads(4, 64, 0, [] { __syncthreads(); }) == cudaSuccess);
}

TEST_CASE_FIXTURE(Quiet, "emulated device: blocks and grids beyond its limits") {
    const auto nothing = [] {};
    CHECK(run_threads(1, 1025, 0, nothing) == cudaErrorInvalidConfiguration);
    CHECK(run_threads(1, dim3(32, 33), 0, nothing) == cudaErrorInvalidConfiguration);
    CHECK(run_threads(1, dim3(1, 1, 65), 0, nothing) == cudaErrorInvalidConfiguration);
    CHECK(run_threads(dim3(1, 65536), 1, 0, nothing) == cudaErrorInvalidConfiguration);
    CHECK(run_threads(dim3(1, 1, 65536), 1, 0, nothing) == cudaErrorInvalidConfiguration);
    CHECK(run_threads(0, 1, 0, nothing) == cudaErrorInvalidConfiguration);
    CHECK(run_threads(dim3(1, 65535), 1, 0, nothing) == cudaSuccess);
}
