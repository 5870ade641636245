// Work in blocks on all threads, which may be interrupted.
#pragma once

#include <cstdint>
#include <functional>

// Receives the finished share, 0 to 1, on the calling thread. May throw: that ends the computation.
using MetricProgress = std::function<void(double share)>;

// Shares 0 to 1 of a part of the work as shares `from` to `to` of all of it. Holds a reference to
// `progress`.
MetricProgress part_of(const MetricProgress& progress, double from, double to);

// Blocks of `block` that `count` falls into, the last one smaller. Throws std::logic_error for an empty
// block.
std::int64_t blocks_of(std::int64_t count, std::int64_t block);

// body(0) to body(count - 1), each on some thread and in any order. Rethrows the first exception of a body.
void for_each_block(std::int64_t count, const MetricProgress& progress,
                    const std::function<void(std::int64_t block)>& body);
