#include "runtime/device/device_graph.h"

#include "runtime/device/built_backends.h"
#include "runtime/device/device_cuda.h"

DeviceGraph::~DeviceGraph() {
    if constexpr (cuda_backend_built)
        if (handle_ != nullptr) cuda_device::destroy_graph(handle_);
}

void DeviceGraph::launch(Stream stream) const {
    if constexpr (cuda_backend_built) cuda_device::launch_graph(handle_, stream.handle);
}

GraphRecording::GraphRecording(Stream stream) : stream_(stream) {
    if constexpr (cuda_backend_built) cuda_device::begin_recording(stream.handle);
}

GraphRecording::~GraphRecording() {
    if constexpr (cuda_backend_built)
        if (!finished_) cuda_device::forget_recording(stream_.handle);
}

DeviceGraph GraphRecording::finish() {
    finished_ = true;
    if constexpr (cuda_backend_built) {
        std::size_t nodes = 0;
        CUgraphExec_st* const handle = cuda_device::end_recording(stream_.handle, nodes);
        return {handle, nodes};
    }
    return {};
}
