// A job's work on a GPU, counted instead of done: in any build, without a GPU.
//
// During a WorkCount's lifetime, Device::cuda has no kernels and its memory is a range of addresses with
// nothing behind it. A job plans and runs on it as on a GPU, in either precision; its launches, copies and
// fills are passed to the count in their order. Copies to the host write zeros, so a job counts as it would
// run if the host's decisions do not depend on what it reads.
#pragma once

#include <any>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

// One launch, or "copy" or "fill".
struct CountedWork {
    const char* kernel;                   // as LAUNCH_ON names it
    std::span<const std::any> arguments;  // of the launch, as passed to LAUNCH_ON
    // Of the tensors and parameters among its arguments, each from its address to its end; a copy's or fill's
    // length.
    double bytes;
    std::span<const std::string> ranges;  // open ProfileRanges, outermost first: "level 1", "block 0"
};

class WorkCount {
  public:
    // Clusters of blocks that the GPU is taken to run at once, one to a part of 8 of its 132 multiprocessors.
    static constexpr std::int64_t resident_clusters = 16;
    using Observer = std::function<void(const CountedWork&)>;
    // Throws std::logic_error if another exists.
    explicit WorkCount(Observer observer);
    ~WorkCount();
    WorkCount(const WorkCount&) = delete;
    WorkCount& operator=(const WorkCount&) = delete;
};

// Whether a WorkCount exists; the following are called only then.
bool counting_work();
// `address` is where a tensor or parameter of `bytes` bytes begins, until another takes its place.
void note_counted_memory(const void* address, std::size_t bytes);
// `addresses`: those among the arguments, null for the others.
void count_work(const char* kernel, std::span<const std::any> arguments,
                std::span<const void* const> addresses);
void count_transfer(const char* kind, std::size_t bytes);
