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
    DeviceGraph(DeviceGraph&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    DeviceGraph& operator=(DeviceGraph&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }

    explicit DeviceGraph(CUgraphExec_st* handle) : handle_(handle) {}  // takes it over
    void launch(Stream stream) const;

  private:
    CUgraphExec_st* handle_ = nullptr;
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

// Graphs by key: all values on which their kernels' arguments depend.
class GraphCache {
  public:
    using Key = std::vector<std::int64_t>;
    static constexpr std::size_t most = 1024;  // of some 100 KiB each

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
            if (graphs_.size() == most) {
                synchronize(device);  // one of them may be running
                graphs_.clear();
            }
            GraphRecording recording(stream);
            body();
            known = graphs_.emplace(key, recording.finish()).first;
        }
        known->second.launch(stream);
    }

    std::size_t size() const { return graphs_.size(); }

  private:
    std::map<Key, DeviceGraph> graphs_;
    bool prepared_ = false;
};
