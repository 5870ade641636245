// Explicit memory. A job's buffers are planned before it runs: the job's own code is called once in planning
// mode, in which kernels are not called and every request only records a size and a lifetime;
// `finish_planning` then gives each buffer an offset in one slab. A run requests the same buffers in the same
// order and allocates nothing.
//
// Requests are matched by their number. The body of a loop is planned once: `loop` rewinds the number, so
// that all iterations share the buffers of the first. A request may be smaller than planned (a last chunk),
// never larger.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "runtime/device/device.h"

using BufferId = std::int32_t;
inline constexpr BufferId no_buffer = -1;

// Placement of the buffers of one job: planned once, used in every run.
struct Plan {
    struct Entry {
        std::size_t bytes;   // rounded up to 64
        std::int64_t first;  // time of the request and of the release
        std::int64_t last;
        std::size_t offset;
    };
    std::vector<Entry> entries;
    std::map<std::pair<BufferId, int>, BufferId>
        loop_ends;               // first request after a loop, by its first and its depth
    std::size_t bytes = 0;       // size of the slab
    std::size_t live_bytes = 0;  // largest sum of live buffers at any time: a lower bound for any placement
};

class Arena {
  public:
    // `stream`: of the kernels that use its buffers.
    explicit Arena(Device device, Stream stream = {}) : device_(device), stream_(stream) {}

    void begin_planning();
    Plan finish_planning();
    // Runs until end_run() use `plan`; the slab grows if it is too small for it. Throws Error if memory is
    // short.
    void begin_run(const Plan& plan);
    void end_run();
    bool planning() const { return planning_; }
    Device device() const { return device_; }
    Stream stream() const { return stream_; }

    // A buffer with one owner. Throws std::logic_error for requests that were not planned.
    BufferId allocate(std::size_t bytes);
    void retain(BufferId buffer) { ++owners_[static_cast<std::size_t>(buffer)]; }
    void release(BufferId buffer);
    int owners(BufferId buffer) const { return owners_[static_cast<std::size_t>(buffer)]; }
    // Device address; only during a run.
    std::byte* address(BufferId buffer) const {
        return slab_.data() + plan_->entries[static_cast<std::size_t>(buffer)].offset;
    }

    // Calls body(i) for i = 0..count-1 on the same buffers; while planning once, for i = 0. A run may have no
    // iteration where the plan had one, and a body may leave out its last requests.
    template <class Body>
    void loop(std::int64_t count, Body&& body) {
        const BufferId start = next_;
        if (planning_) count = count > 0 ? 1 : 0;
        ++depth_;
        for (std::int64_t i = 0; i < count; ++i) {
            next_ = start;
            body(i);
        }
        --depth_;
        if (planning_)
            draft_.loop_ends[{start, depth_}] = next_;
        else
            next_ = plan_->loop_ends.at({start, depth_});
    }

    // Highest byte used by any run so far; at most the plan's size.
    std::size_t used_bytes() const { return used_; }
    std::size_t slab_bytes() const { return slab_.size(); }
    // Fill every released buffer with NaN, so that a use after release is visible in the results.
    void poison_released(bool on) { poison_ = on; }

  private:
    Device device_;
    Stream stream_;
    Memory slab_;
    bool planning_ = false, poison_ = false;
    Plan draft_;  // while planning
    std::int64_t clock_ = 0;
    const Plan* plan_ = nullptr;  // while running
    BufferId next_ = 0;
    int depth_ = 0;  // of the loop being run
    std::vector<int> owners_;
    std::size_t used_ = 0;
};
