#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "tests/emulator/emulated_device.h"
#include "tests/emulator/run_threads.h"

using namespace emulator;

namespace {

class TestStream {
  public:
    explicit TestStream(unsigned flags = cudaStreamNonBlocking) {
        cudaStreamCreateWithFlags(&stream_, flags);
    }
    ~TestStream() { cudaStreamDestroy(stream_); }
    TestStream(const TestStream&) = delete;
    TestStream& operator=(const TestStream&) = delete;
    operator cudaStream_t() const { return stream_; }

  private:
    cudaStream_t stream_ = nullptr;
};

class TestEvent {
  public:
    TestEvent() { cudaEventCreateWithFlags(&event_, cudaEventDisableTiming); }
    ~TestEvent() { cudaEventDestroy(event_); }
    TestEvent(const TestEvent&) = delete;
    TestEvent& operator=(const TestEvent&) = delete;
    operator cudaEvent_t() const { return event_; }

  private:
    cudaEvent_t event_ = nullptr;
};

__global__ void add(float* to, float value) {
    to[threadIdx.x] += value;
}
cudaError_t run_add(float* to, float value, cudaStream_t stream) {
    const cudaLaunchConfig_t config{1, 4, 0, stream, nullptr, 0};
    return cudaLaunchKernelEx(&config, add, to, value);
}

cudaStreamCaptureStatus status(cudaStream_t stream) {
    cudaStreamCaptureStatus result{};
    CHECK(cudaStreamIsCapturing(stream, &result) == cudaSuccess);
    return result;
}

// Result of `call` during a stream's capture, which it must invalidate.
template <class Call>
cudaError_t in_capture(Call call) {
    const TestStream stream;
    REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    const cudaError_t result = call(static_cast<cudaStream_t>(stream));
    CHECK(status(stream) == cudaStreamCaptureStatusInvalidated);
    cudaGraph_t graph = nullptr;
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(graph == nullptr);
    cudaGetLastError();
    return result;
}

}  // namespace

TEST_CASE("emulated device: a captured graph runs when it is launched, each time") {
    const TestStream stream;
    const DeviceArray<float> array(std::vector<float>(4, 1)), copy(std::vector<float>(4, 0));
    float pinned[4] = {10, 20, 30, 40};
    REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK(status(stream) == cudaStreamCaptureStatusActive);
    CHECK(run_add(array.data(), 1, stream) == cudaSuccess);
    CHECK(cudaMemcpyAsync(copy.data(), array.data(), 16, cudaMemcpyDeviceToDevice, stream) == cudaSuccess);
    CHECK(cudaMemcpyAsync(array.data(), pinned, 4, cudaMemcpyHostToDevice, stream) == cudaSuccess);
    CHECK(cudaMemsetAsync(array.data() + 3, 0, 4, stream) == cudaSuccess);
    cudaGraph_t graph = nullptr;
    REQUIRE(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    CHECK(status(stream) == cudaStreamCaptureStatusNone);
    CHECK(array.values() == std::vector<float>(4, 1));
    std::size_t nodes = 0;
    CHECK(cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess);
    CHECK(nodes == 4);
    cudaGraphExec_t executable = nullptr;
    REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
    CHECK(cudaGraphLaunch(executable, stream) == cudaSuccess);
    CHECK(array.values() == std::vector<float>{10, 2, 2, 0});
    CHECK(copy.values() == std::vector<float>(4, 2));
    pinned[0] = 50;  // read when the graph runs
    CHECK(cudaGraphLaunch(executable, stream) == cudaSuccess);
    CHECK(array.values() == std::vector<float>{50, 3, 3, 0});
    CHECK(copy.values() == std::vector<float>{11, 3, 3, 1});
    CHECK(cudaGraphExecDestroy(executable) == cudaSuccess);
}

TEST_CASE("emulated device: an executable graph takes the parameters of another of the same shape") {
    const TestStream stream;
    const DeviceArray<float> array(std::vector<float>(4, 0));
    const auto captured = [&](int launches, float value) {
        CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
        for (int i = 0; i < launches; ++i) CHECK(run_add(array.data(), value, stream) == cudaSuccess);
        cudaGraph_t graph = nullptr;
        CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
        return graph;
    };
    const cudaGraph_t one = captured(1, 1), ten = captured(1, 10), two = captured(2, 1);
    cudaGraphExec_t executable = nullptr;
    cudaGraphExecUpdateResultInfo result;
    REQUIRE(cudaGraphInstantiate(&executable, one) == cudaSuccess);
    CHECK(cudaGraphExecUpdate(executable, ten, &result) == cudaSuccess);
    CHECK(cudaGraphExecUpdate(executable, two, &result) == cudaErrorGraphExecUpdateFailure);
    CHECK(result.result == cudaGraphExecUpdateErrorTopologyChanged);
    CHECK(cudaGraphLaunch(executable, stream) == cudaSuccess);
    CHECK(array.values() == std::vector<float>(4, 10));
    cudaGraphExecDestroy(executable);
    for (const cudaGraph_t graph : {one, ten, two}) cudaGraphDestroy(graph);
    cudaGetLastError();
}

TEST_CASE("emulated device: calls that a capture forbids") {
    const DeviceArray<float> array(4);
    float host[4];
    void* memory = nullptr;
    CHECK(in_capture([&](cudaStream_t) { return cudaMalloc(&memory, 16); }) ==
          cudaErrorStreamCaptureUnsupported);
    CHECK(in_capture([&](cudaStream_t) { return cudaFree(array.data()); }) ==
          cudaErrorStreamCaptureUnsupported);
    CHECK(in_capture([&](cudaStream_t) { return cudaDeviceSynchronize(); }) ==
          cudaErrorStreamCaptureUnsupported);
    CHECK(in_capture([&](cudaStream_t stream) { return cudaStreamSynchronize(stream); }) ==
          cudaErrorStreamCaptureUnsupported);
    CHECK(in_capture([&](cudaStream_t) {
              return cudaMemcpy(host, array.data(), 16, cudaMemcpyDeviceToHost);
          }) == cudaErrorStreamCaptureUnsupported);
    CHECK(in_capture([&](cudaStream_t stream) {
              cudaDeviceSynchronize();
              return run_add(array.data(), 1, stream);
          }) == cudaErrorStreamCaptureInvalidated);
    CHECK(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal) == cudaErrorStreamCaptureUnsupported);
    cudaGetLastError();
}

TEST_CASE("emulated device: the legacy stream waits for blocking streams, so not while one captures") {
    const DeviceArray<float> array(std::vector<float>(4, 0));
    const TestStream blocking(cudaStreamDefault), free_running;
    REQUIRE(cudaStreamBeginCapture(free_running, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    CHECK(run_add(array.data(), 1, nullptr) == cudaSuccess);
    cudaGraph_t graph = nullptr;
    CHECK(cudaStreamEndCapture(free_running, &graph) == cudaSuccess);
    cudaGraphDestroy(graph);
    REQUIRE(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    CHECK(run_add(array.data(), 1, nullptr) == cudaErrorStreamCaptureImplicit);
    CHECK(cudaStreamEndCapture(blocking, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(array.values() == std::vector<float>(4, 1));
    cudaGetLastError();
}

TEST_CASE("emulated device: a capture follows events to other streams and has to come back") {
    const DeviceArray<float> array(std::vector<float>(4, 0));
    const TestStream first, second;
    const TestEvent fork, join;
    cudaGraph_t graph = nullptr;
    for (const bool joined : {true, false}) {
        REQUIRE(cudaStreamBeginCapture(first, cudaStreamCaptureModeGlobal) == cudaSuccess);
        CHECK(cudaEventRecord(fork, first) == cudaSuccess);
        CHECK(cudaStreamWaitEvent(second, fork) == cudaSuccess);
        CHECK(status(second) == cudaStreamCaptureStatusActive);
        CHECK(run_add(array.data(), 1, second) == cudaSuccess);
        CHECK(cudaStreamEndCapture(second, &graph) == cudaErrorStreamCaptureUnmatched);
        CHECK(cudaEventRecord(join, second) == cudaSuccess);
        if (joined) CHECK(cudaStreamWaitEvent(first, join) == cudaSuccess);
        CHECK(cudaStreamEndCapture(first, &graph) == (joined ? cudaSuccess : cudaErrorStreamCaptureUnjoined));
        CHECK(status(second) == cudaStreamCaptureStatusNone);
        CHECK(array.values() == std::vector<float>(4, 0));
        cudaGraphDestroy(graph);
    }
    cudaGetLastError();
}

TEST_CASE("emulated device: handles that do not exist") {
    cudaStream_t stream = nullptr;
    cudaEvent_t event = nullptr;
    REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
    REQUIRE(cudaStreamDestroy(stream) == cudaSuccess);
    REQUIRE(cudaEventCreate(&event) == cudaSuccess);
    REQUIRE(cudaEventDestroy(event) == cudaSuccess);
    CHECK(cudaStreamSynchronize(stream) == cudaErrorInvalidResourceHandle);
    CHECK(cudaEventRecord(event, nullptr) == cudaErrorInvalidResourceHandle);
    CHECK(run_threads(
              1, 1, 0, [] {}, stream) == cudaErrorInvalidResourceHandle);
    cudaGetLastError();
}

TEST_CASE("emulated device: events measure time") {
    cudaEvent_t start = nullptr, end = nullptr;
    REQUIRE(cudaEventCreate(&start) == cudaSuccess);
    REQUIRE(cudaEventCreate(&end) == cudaSuccess);
    float milliseconds = -1;
    CHECK(cudaEventElapsedTime(&milliseconds, start, end) == cudaErrorInvalidResourceHandle);
    using Clock = std::chrono::steady_clock;
    const Clock::time_point before = Clock::now();
    CHECK(cudaEventRecord(start, nullptr) == cudaSuccess);
    CHECK(cudaEventSynchronize(start) == cudaSuccess);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    CHECK(cudaEventRecord(end, nullptr) == cudaSuccess);
    CHECK(cudaEventSynchronize(end) == cudaSuccess);
    const std::chrono::duration<double, std::milli> passed = Clock::now() - before;
    CHECK(cudaEventElapsedTime(&milliseconds, start, end) == cudaSuccess);
    CHECK(milliseconds >= 1.9f);
    CHECK(static_cast<double>(milliseconds) <= passed.count() + 0.1);
    cudaEventDestroy(start);
    cudaEventDestroy(end);
    cudaGetLastError();
}
