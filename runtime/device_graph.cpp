#include "runtime/device_graph.h"

#include "runtime/device_cuda.h"

DeviceGraph::~DeviceGraph() {
    if constexpr (cuda_backend_built)
        if (handle_ != nullptr) cuda_device::destroy_graph(handle_);
}

void DeviceGraph::begin(Stream stream) {
    if constexpr (cuda_backend_built) cuda_device::begin_recording(stream.handle);
}

DeviceGraph DeviceGraph::end(Stream stream) {
    DeviceGraph graph;
    if constexpr (cuda_backend_built) graph.handle_ = cuda_device::end_recording(stream.handle);
    return graph;
}

void DeviceGraph::launch(Stream stream) const {
    if constexpr (cuda_backend_built) cuda_device::launch_graph(handle_, stream.handle);
}
