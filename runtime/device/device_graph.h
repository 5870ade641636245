// Work queued on the GPU's stream, recorded once and replayed as one piece: a CUDA graph. A step of sampling
// is hundreds of small kernels; queued one by one each costs the host more than the device.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "runtime/device/device.h"

struct CUgraphExec_st;

class DeviceGraph {
  public:
    DeviceGraph() = default;
    ~DeviceGraph();
    DeviceGraph(DeviceGraph&& other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), nodes_(other.nodes_) {}
    DeviceGraph& operator=(DeviceGraph&& other) noexcept {
        std::swap(handle_, other.handle_);
        std::swap(nodes_, other.nodes_);
        return *this;
    }

    DeviceGraph(CUgraphExec_st* handle, std::size_t nodes)
        : handle_(handle), nodes_(nodes) {}  // takes it over
    void launch(Stream stream) const;
    // Kernels and copies.
    std::size_t nodes() const { return nodes_; }

  private:
    CUgraphExec_st* handle_ = nullptr;
    std::size_t nodes_ = 0;
};

// During its lifetime, work queued on the stream is recorded instead of run. An unfinished recording is
// discarded, and the stream runs work again.
class GraphRecording {
  public:
    explicit GraphRecording(Stream stream);
    ~GraphRecording();
    GraphRecording(const GraphRecording&) = delete;
    GraphRecording& operator=(const GraphRecording&) = delete;

    // Throws Error if something could not be recorded.
    DeviceGraph finish();

  private:
    Stream stream_;
    bool finished_ = false;
};

// Graphs by key: all values on which their kernels' arguments depend. What changes from replay to replay (a
// step's number, a seed) lies in device memory instead.
class GraphCache {
  public:
    using Key = std::vector<std::int64_t>;
    // Of all graphs together: beyond it they are recorded anew. A graph of more nodes is kept alone.
    static constexpr std::size_t most_nodes = 16'384;
    // Estimate of what a node, its kernel's arguments included, takes of the device's memory.
    static constexpr std::size_t node_bytes = 2048;
    // What all of them take at most, beside the memory of a plan.
    static constexpr std::size_t memory(Device device) {
        return device == Device::cpu ? 0 : most_nodes * node_bytes;
    }

    // On the GPU: replays the graph of `key`, recording body() the first time. On the CPU, or while planning:
    // body(). The body
    // must not use host memory: no copies from or to it. The very first body is run, not recorded: libraries
    // load code and allocate memory at their first call, which cannot be captured.
    template <class Body>
    void run(Device device, Stream stream, bool planning, const Key& key, Body&& body) {
        if (device == Device::cpu || planning || !std::exchange(prepared_, true)) {
            body();
            return;
        }
        auto known = graphs_.find(key);
        if (known == graphs_.end()) {
            GraphRecording recording(stream);
            body();
            DeviceGraph graph = recording.finish();
            if (nodes_ + graph.nodes() > most_nodes) {
                synchronize(device);  // one of them may be running
                graphs_.clear();
                nodes_ = 0;
            }
            nodes_ += graph.nodes();
            known = graphs_.emplace(key, std::move(graph)).first;
        }
        known->second.launch(stream);
    }

    std::size_t size() const { return graphs_.size(); }
    std::size_t nodes() const { return nodes_; }

  private:
    std::map<Key, DeviceGraph> graphs_;
    std::size_t nodes_ = 0;
    bool prepared_ = false;
};
