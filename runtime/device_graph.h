// Work queued on the GPU's stream, recorded once and replayed as one piece: a CUDA graph. A step of sampling
// is hundreds of small kernels; queued one by one each costs the host more than the device.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "runtime/tape.h"

struct CUgraphExec_st;

class DeviceGraph {
  public:
    DeviceGraph() = default;
    ~DeviceGraph();
    DeviceGraph(DeviceGraph&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    DeviceGraph& operator=(DeviceGraph&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }

    // Records what is queued on the stream between the two calls; it does not run. Throw Error if something
    // in between cannot be recorded.
    static void begin(Stream stream);
    static DeviceGraph end(Stream stream);
    void launch(Stream stream) const;

  private:
    CUgraphExec_st* handle_ = nullptr;
};

// Graphs by what tells them apart: everything that their kernels' arguments depend on.
class GraphCache {
  public:
    using Key = std::vector<std::int64_t>;

    // On the GPU: replays the graph of `key`, recording body() the first time. On the CPU: body(). The body
    // must ask for nothing of the host's: no copies from or to it.
    template <class Body>
    void run(Tape& tape, const Key& key, Body&& body) {
        if (tape.device() == Device::cpu || tape.planning()) {
            body();
            return;
        }
        auto known = graphs_.find(key);
        if (known == graphs_.end()) {
            DeviceGraph::begin(tape.stream());
            body();
            known = graphs_.emplace(key, DeviceGraph::end(tape.stream())).first;
        }
        known->second.launch(tape.stream());
    }

    std::size_t size() const { return graphs_.size(); }

  private:
    std::map<Key, DeviceGraph> graphs_;
};
