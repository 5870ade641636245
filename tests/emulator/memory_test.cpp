#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "tests/emulator/emulated_device.h"
#include "tests/emulator/run_threads.h"

using namespace emulator;

namespace {

// The device as it was, behind a test that changes it.
struct Restored {
    Restored() { emulated_device().quiet = true; }
    ~Restored() { emulated_device() = before; }
    EmulatedDevice before = emulated_device();
};

// Whether a process that reads there survives.
bool host_can_read(const volatile float* address) {
    const pid_t child = ::fork();
    if (child == 0) {
        for (const int signal : {SIGSEGV, SIGBUS})
            ::signal(signal, SIG_DFL);  // without the test program's report
        const float value = *address;
        ::_exit(value == 2.0f ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE_FIXTURE(Restored, "emulated device: it has as much memory as it says") {
    std::size_t free = 0, total = 0, free_then = 0;
    emulated_device().memory = 1 << 20;
    CHECK(cudaMemGetInfo(&free, &total) == cudaSuccess);
    CHECK(total == 1 << 20);
    void *half = nullptr, *more = nullptr;
    REQUIRE(cudaMalloc(&half, free / 2) == cudaSuccess);
    CHECK(cudaMemGetInfo(&free_then, &total) == cudaSuccess);
    CHECK(free_then == free - free / 2);
    CHECK(cudaMalloc(&more, free_then + 1) == cudaErrorMemoryAllocation);
    CHECK(more == nullptr);
    CHECK(cudaPeekAtLastError() == cudaErrorMemoryAllocation);
    CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
    CHECK(cudaFree(half) == cudaSuccess);
    CHECK(cudaFree(half) == cudaErrorInvalidValue);
    CHECK(cudaFree(nullptr) == cudaSuccess);
    cudaGetLastError();
}

TEST_CASE_FIXTURE(Restored, "emulated device: no device in the machine") {
    emulated_device().devices = 0;
    int count = 7;
    void* memory = nullptr;
    CHECK(cudaGetDeviceCount(&count) == cudaErrorNoDevice);
    CHECK(count == 0);
    CHECK(cudaMalloc(&memory, 4) == cudaErrorNoDevice);
    CHECK(cudaSetDevice(0) == cudaErrorNoDevice);
    CHECK(run_threads(1, 1, 0, [] {}) == cudaErrorNoDevice);
    cudaGetLastError();
}

TEST_CASE("emulated device: its properties are those of a device of its architecture") {
    cudaDeviceProp properties;
    REQUIRE(cudaGetDeviceProperties(&properties, 0) == cudaSuccess);
    CHECK(properties.major == emulated_device().major);
    CHECK(properties.maxThreadsPerBlock == 1024);
    CHECK(properties.sharedMemPerBlockOptin == card().shared_most);
    CHECK(properties.maxGridSize[1] == 65535);
    CHECK(cudaGetDeviceProperties(&properties, 1) == cudaErrorInvalidDevice);
    cudaGetLastError();
}

TEST_CASE("emulated device: a capability brings its card's shared memory and multiprocessors") {
    struct Expected {
        int major, minor, kibibytes, multiprocessors;
    };
    const EmulatedDevice before = emulated_device();
    for (const Expected& card : std::vector<Expected>{
             {8, 0, 163, 108}, {8, 6, 163, 108}, {8, 9, 99, 128}, {9, 0, 227, 132}, {10, 0, 227, 148}}) {
        emulated_device().major = card.major;
        emulated_device().minor = card.minor;
        cudaDeviceProp properties;
        REQUIRE(cudaGetDeviceProperties(&properties, 0) == cudaSuccess);
        CHECK(properties.sharedMemPerBlockOptin == static_cast<std::size_t>(card.kibibytes) * 1024);
        CHECK(properties.multiProcessorCount == card.multiprocessors);
        int most = 0;
        REQUIRE(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0) == cudaSuccess);
        CHECK(most == card.kibibytes * 1024);
        const auto kernel = reinterpret_cast<void (*)()>(&cudaGetLastError);
        CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most) == cudaSuccess);
        CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most + 1) ==
              cudaErrorInvalidValue);
    }
    emulated_device() = before;
    cudaGetLastError();
}

TEST_CASE("emulated device: settings of the environment") {
    const EmulatedDevice all =
        parse_emulated_device("devices=0,capability=7.5,memory=64M,order=shuffled:9,host=allowed");
    CHECK(all.devices == 0);
    CHECK(all.major == 7);
    CHECK(all.minor == 5);
    CHECK(all.memory == 64 << 20);
    CHECK(all.order.order == Order::shuffled);
    CHECK(all.order.seed == 9);
    CHECK(all.host == HostAccess::allowed);
    CHECK(parse_emulated_device("").devices == 1);
    CHECK(parse_emulated_device("capability=10").major == 10);
    CHECK(parse_emulated_device("cublaslt=parts_by_rows").cublaslt == CublasLtMood::parts_by_rows);
    for (const char* wrong :
         {"devices", "cublaslt=bad", "memory=12Q", "order=sideways", "colour=red", "host=", "="})
        CHECK_THROWS_AS(parse_emulated_device(wrong), std::invalid_argument);
}

TEST_CASE("emulated device: fresh memory is not a number") {
    const DeviceArray<float> array(1000);
    for (const float each : array.values()) CHECK(std::isnan(each));
}

TEST_CASE_FIXTURE(Restored, "emulated device: the host cannot touch its memory") {
    const DeviceArray<float> array(std::vector<float>{1, 2, 3});
    emulated_device().host = HostAccess::denied;
    float* const memory = array.data();
    REQUIRE(run_threads(1, 1, 0, [=] { memory[0] = memory[1]; }) == cudaSuccess);
    CHECK_FALSE(host_can_read(memory + 1));
    CHECK(array.values() == std::vector<float>{2, 2, 3});
    emulated_device().host = HostAccess::allowed;
    REQUIRE(run_threads(1, 1, 0, [] {}) == cudaSuccess);
    CHECK(host_can_read(memory + 1));
}

TEST_CASE_FIXTURE(Restored, "emulated device: copies go where their kind says") {
    const DeviceArray<float> array(std::vector<float>{1, 2, 3, 4}), other(4);
    float* const device = array.data();
    std::vector<float> host(4);
    CHECK(cudaMemcpy(host.data(), device, 16, cudaMemcpyDeviceToHost) == cudaSuccess);
    CHECK(host == std::vector<float>{1, 2, 3, 4});
    CHECK(cudaMemcpy(device, device + 2, 8, cudaMemcpyDeviceToDevice) == cudaSuccess);
    CHECK(cudaMemcpy(other.data(), device, 16, cudaMemcpyDefault) == cudaSuccess);
    CHECK(other.values() == std::vector<float>{3, 4, 3, 4});
    CHECK(cudaMemset(device, 0, 4) == cudaSuccess);
    CHECK(array.values()[0] == 0);
    CHECK(array.values()[1] == 4);
    CHECK(cudaMemcpy(device, device, 16, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    CHECK(last_report() == "a copy's source is device memory, not the host's");
    CHECK(cudaMemcpy(host.data(), device, 16, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    CHECK(cudaMemcpy(host.data(), device + 1, 16, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
    CHECK(last_report() == "a copy's source: 16 bytes from byte 4 of an allocation of 16 on");
    CHECK(cudaMemcpy(host.data(), device + 1, 16, cudaMemcpyDefault) == cudaErrorInvalidValue);
    CHECK(cudaMemset(host.data(), 0, 16) == cudaErrorInvalidValue);
    CHECK(cudaMemcpy(host.data(), device, 16, static_cast<cudaMemcpyKind>(9)) ==
          cudaErrorInvalidMemcpyDirection);
    cudaGetLastError();
}

TEST_CASE("emulated device: kernels reach pinned memory of the host") {
    float* pinned = nullptr;
    REQUIRE(cudaHostAlloc(&pinned, 16, cudaHostAllocDefault) == cudaSuccess);
    pinned[0] = 5;
    CHECK(run_threads(1, 1, 0, [=] { pinned[1] = pinned[0] + 1; }) == cudaSuccess);
    CHECK(pinned[1] == 6);
    CHECK(cudaFreeHost(pinned) == cudaSuccess);
}
