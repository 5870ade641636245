// Streams, events and graphs of the emulated device. Work runs when it is submitted, so that a stream is
// always empty; captured work is recorded in the order of the calls, a valid order for all streams of the
// capture.
#include "tests/emulator/streams.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>

#include "tests/emulator/calls.h"

using Work = std::function<cudaError_t()>;

namespace {

struct Capture {
    cudaStream_t origin;
    cudaStreamCaptureMode mode;
    std::vector<Work> nodes;
    std::vector<cudaStream_t> forked;  // streams that wait for it, not yet waited for themselves
    bool invalid = false;
};

}  // namespace

struct CUstream_st {
    unsigned flags = 0;
    std::shared_ptr<Capture> capture;
};
struct CUevent_st {
    unsigned flags = 0;
    bool recorded = false;
    std::chrono::steady_clock::time_point time;
    std::shared_ptr<Capture> capture;  // that it was recorded in
    cudaStream_t stream = nullptr;
};
struct CUgraph_st {
    std::vector<Work> nodes;
};
struct CUgraphExec_st {
    std::vector<Work> nodes;
};

namespace {

struct Streams {
    std::recursive_mutex mutex;
    std::vector<std::unique_ptr<CUstream_st>> streams;
    std::vector<std::unique_ptr<CUevent_st>> events;
};
Streams& all() {
    static Streams streams;
    return streams;
}

template <class List, class Handle>
bool known(const List& list, Handle handle) {
    return std::ranges::any_of(list, [&](const auto& each) { return each.get() == handle; });
}
bool known(cudaStream_t stream) {
    return stream == nullptr || known(all().streams, stream);
}

template <class List, class Handle>
bool forget(List& list, Handle handle) {
    return std::erase_if(list, [&](const auto& each) { return each.get() == handle; }) != 0;
}

bool capturing(cudaStream_t stream) {
    return stream != nullptr && stream->capture != nullptr;
}

using emulator::remember;

}  // namespace

namespace emulator {

cudaError_t submit(cudaStream_t stream, std::function<cudaError_t()> work) {
    const std::lock_guard lock(all().mutex);
    if (!known(stream)) return cudaErrorInvalidResourceHandle;
    if (capturing(stream)) {
        if (stream->capture->invalid) return cudaErrorStreamCaptureInvalidated;
        stream->capture->nodes.push_back(std::move(work));
        return cudaSuccess;
    }
    if (stream ==
        nullptr)  // the legacy stream waits for every blocking stream, so also for those that capture
        for (const auto& each : all().streams)
            if (capturing(each.get()) && (each->flags & cudaStreamNonBlocking) == 0) {
                each->capture->invalid = true;
                return cudaErrorStreamCaptureImplicit;
            }
    return work();
}

cudaError_t forbid_in_capture() {
    const std::lock_guard lock(all().mutex);
    cudaError_t result = cudaSuccess;
    for (const auto& each : all().streams)
        if (capturing(each.get()) && each->capture->mode != cudaStreamCaptureModeRelaxed) {
            each->capture->invalid = true;
            result = cudaErrorStreamCaptureUnsupported;
        }
    return result;
}

}  // namespace emulator

// ---- streams --------------------------------------------------------------------------------------------

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
    if (stream == nullptr || flags > cudaStreamNonBlocking) return remember(cudaErrorInvalidValue);
    const std::lock_guard lock(all().mutex);
    *stream = all().streams.emplace_back(std::make_unique<CUstream_st>()).get();
    (*stream)->flags = flags;
    return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    const std::lock_guard lock(all().mutex);
    return remember(forget(all().streams, stream) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    ++emulator::calls().synchronizations;
    const std::lock_guard lock(all().mutex);
    if (!known(stream)) return remember(cudaErrorInvalidResourceHandle);
    if (!capturing(stream)) return cudaSuccess;
    stream->capture->invalid = true;
    return remember(cudaErrorStreamCaptureUnsupported);
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
    return cudaStreamSynchronize(stream);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    const std::lock_guard lock(all().mutex);
    if (!known(stream) || !known(all().events, event)) return remember(cudaErrorInvalidResourceHandle);
    if (event->capture != nullptr) {
        if (stream == nullptr) return remember(cudaErrorStreamCaptureImplicit);
        if (capturing(stream) && stream->capture != event->capture)
            return remember(cudaErrorStreamCaptureMerge);
        if (!capturing(stream)) {
            stream->capture = event->capture;
            event->capture->forked.push_back(stream);
        } else {
            std::erase(event->capture->forked, event->stream);
        }
        return cudaSuccess;
    }
    if (capturing(stream) && event->recorded) {
        stream->capture->invalid = true;
        return remember(cudaErrorStreamCaptureIsolation);
    }
    return cudaSuccess;
}

// ---- events ---------------------------------------------------------------------------------------------

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
    if (event == nullptr) return remember(cudaErrorInvalidValue);
    const std::lock_guard lock(all().mutex);
    *event = all().events.emplace_back(std::make_unique<CUevent_st>()).get();
    (*event)->flags = flags;
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    const std::lock_guard lock(all().mutex);
    return remember(forget(all().events, event) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    const std::lock_guard lock(all().mutex);
    if (!known(stream) || !known(all().events, event)) return remember(cudaErrorInvalidResourceHandle);
    event->recorded = true;
    event->stream = stream;
    event->capture = capturing(stream) ? stream->capture : nullptr;
    event->time = std::chrono::steady_clock::now();
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    ++emulator::calls().synchronizations;
    const std::lock_guard lock(all().mutex);
    if (!known(all().events, event)) return remember(cudaErrorInvalidResourceHandle);
    if (event->capture == nullptr) return cudaSuccess;
    event->capture->invalid = true;
    return remember(cudaErrorStreamCaptureUnsupported);
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    return cudaEventSynchronize(event);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
    const std::lock_guard lock(all().mutex);
    if (!known(all().events, start) || !known(all().events, end) || !start->recorded || !end->recorded ||
        ((start->flags | end->flags) & cudaEventDisableTiming) != 0)
        return remember(cudaErrorInvalidResourceHandle);
    *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
    return cudaSuccess;
}

// ---- graphs ---------------------------------------------------------------------------------------------

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
    const std::lock_guard lock(all().mutex);
    if (stream == nullptr) return remember(cudaErrorStreamCaptureUnsupported);
    if (!known(stream)) return remember(cudaErrorInvalidResourceHandle);
    if (capturing(stream)) return remember(cudaErrorInvalidValue);
    stream->capture = std::make_shared<Capture>();
    stream->capture->origin = stream;
    stream->capture->mode = mode;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    const std::lock_guard lock(all().mutex);
    if (graph != nullptr) *graph = nullptr;
    if (!known(stream)) return remember(cudaErrorInvalidResourceHandle);
    if (!capturing(stream) || graph == nullptr) return remember(cudaErrorInvalidValue);
    const std::shared_ptr<Capture> capture = stream->capture;
    if (capture->origin != stream) return remember(cudaErrorStreamCaptureUnmatched);
    for (const auto& each : all().streams)
        if (each->capture == capture) each->capture = nullptr;
    for (const auto& each : all().events)
        if (each->capture == capture) {
            each->capture = nullptr;
            each->recorded = false;
        }
    if (capture->invalid) return remember(cudaErrorStreamCaptureInvalidated);
    if (!capture->forked.empty()) return remember(cudaErrorStreamCaptureUnjoined);
    *graph = new CUgraph_st{std::move(capture->nodes)};
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    const std::lock_guard lock(all().mutex);
    if (!known(stream)) return remember(cudaErrorInvalidResourceHandle);
    *status = !capturing(stream)         ? cudaStreamCaptureStatusNone
              : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                         : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
    if (executable == nullptr || graph == nullptr) return remember(cudaErrorInvalidValue);
    *executable = new CUgraphExec_st{graph->nodes};
    ++emulator::calls().graphs;
    return cudaSuccess;
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo* result) {
    if (executable == nullptr || graph == nullptr || result == nullptr)
        return remember(cudaErrorInvalidValue);
    *result = {};
    if (executable->nodes.size() != graph->nodes.size()) {
        result->result = cudaGraphExecUpdateErrorTopologyChanged;
        return remember(cudaErrorGraphExecUpdateFailure);
    }
    executable->nodes = graph->nodes;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
    if (executable == nullptr) return remember(cudaErrorInvalidValue);
    ++emulator::calls().graph_launches;
    return remember(emulator::submit(stream, [nodes = executable->nodes] {
        for (const Work& node : nodes)
            if (const cudaError_t result = node(); result != cudaSuccess) return result;
        return cudaSuccess;
    }));
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
    if (graph == nullptr || count == nullptr || nodes != nullptr) return remember(cudaErrorInvalidValue);
    *count = graph->nodes.size();
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    delete executable;
    return cudaSuccess;
}
