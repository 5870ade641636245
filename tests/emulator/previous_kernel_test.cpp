// Kernels that may start before the one in front of them has ended.
#include <doctest/doctest.h>

#include "kernels/common/launch.cuh"
#include "tests/emulator/emulated_device.h"
#include "tests/emulator/run_threads.h"

using namespace emulator;

namespace {

enum class Mistake { none, early_read, early_write, wait_by_some };

__global__ void add_one(float* values, Mistake mistake) {
    float* const mine = values + blockIdx.x * blockDim.x + threadIdx.x;
    if (mistake == Mistake::early_write) *mine = 0;
    const float early = mistake == Mistake::early_read ? *mine : 0;
    if (mistake != Mistake::wait_by_some || threadIdx.x != 3) cuda::wait_for_previous_kernel();
    *mine += early + 1;
}

// Launched on two blocks of 32 threads, the second time behind the first.
cudaError_t add_twice(const DeviceArray<float>& values, Mistake mistake, cudaStream_t stream = nullptr) {
    cudaLaunchAttribute early{};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    const cudaLaunchConfig_t config{2, 32, 0, stream, &early, 1};
    cudaLaunchKernelEx(&config, add_one, values.data(), Mistake::none);
    return cudaLaunchKernelEx(&config, add_one, values.data(), mistake);
}

// Host access denied also beside the memory of other tests; nothing on stderr.
struct Denied {
    Denied() {
        emulated_device().host = HostAccess::denied;
        emulated_device().quiet = true;
        emulated_device().major = 9;
    }
    ~Denied() { emulated_device() = before; }
    EmulatedDevice before = emulated_device();
};

}  // namespace

TEST_CASE_FIXTURE(Denied, "emulated device: a kernel that waits for the previous one sees its writes") {
    const DeviceArray<float> values(std::vector<float>(64, 1));
    CHECK(add_twice(values, Mistake::none) == cudaSuccess);
    CHECK(values.values() == std::vector<float>(64, 3));
}

TEST_CASE_FIXTURE(Denied, "emulated device: such a kernel is recorded and replayed") {
    const DeviceArray<float> values(std::vector<float>(64, 1));
    cudaStream_t stream = nullptr;
    REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
    REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK(add_twice(values, Mistake::none, stream) == cudaSuccess);
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    REQUIRE(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    REQUIRE(cudaGraphInstantiate(&executable, graph) == cudaSuccess);
    CHECK(values.values() == std::vector<float>(64, 1));
    for (int i = 0; i < 2; ++i) CHECK(cudaGraphLaunch(executable, stream) == cudaSuccess);
    CHECK(values.values() == std::vector<float>(64, 5));
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
}

TEST_CASE_FIXTURE(Denied, "emulated device: a thread that never waits for the previous kernel is reported") {
    emulated_device().order = {};
    const DeviceArray<float> values(std::vector<float>(64, 1));
    CHECK(add_twice(values, Mistake::wait_by_some) == cudaErrorLaunchFailure);
    // Of whichever block came first.
    CHECK(last_report().find("add_one: block (") != std::string::npos);
    CHECK(last_report().find("thread (3, 0, 0): ends without having waited for the previous kernel") !=
          std::string::npos);
}

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE_FIXTURE(Denied, "emulated device: an access before the wait for the previous kernel is reported") {
    const DeviceArray<float> values(std::vector<float>(64, 1));
    for (const Mistake mistake : {Mistake::early_read, Mistake::early_write}) {
        CHECK(add_twice(values, mistake) == cudaErrorIllegalAddress);
        CHECK(last_report().find("of an allocation of 256 before it has waited for the previous kernel") !=
              std::string::npos);
    }
}
#endif

TEST_CASE_FIXTURE(Denied, "emulated device: only cards from 9.0 on start kernels early, and launch() knows") {
    const DeviceArray<float> values(std::vector<float>(64, 1));
    emulated_device().driver = 12020;
    CHECK_FALSE(cuda::has_dependent_launch());
    emulated_device().driver = 13000;
    CHECK(cuda::has_dependent_launch());
    CHECK_THROWS(cuda::launch(add_one, 2, 32, 0, {}, values.data(), Mistake::wait_by_some));
    emulated_device().major = 8;
    CHECK_FALSE(cuda::has_dependent_launch());
    cuda::launch(add_one, 2, 32, 0, {}, values.data(), Mistake::wait_by_some);
    CHECK(add_twice(values, Mistake::none) == cudaErrorNotSupported);
}
