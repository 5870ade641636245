// How the CPU kernels share work among threads so that no result depends on how many there are.
//
// Two rules do it. Elementwise work is cut into blocks of a fixed size: an element always lies at the same
// place of a vector loop, body or remainder, which the compiler may round differently. Sums over rows are cut
// into slices whose number follows from the number of rows alone; each slice is summed by one thread into its
// own part of the workspace, and the parts are added in order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/common/threads.h"

namespace cpu {

// Calls on fewer elements run on the calling thread: waking the others costs a few microseconds, as long as
// one core takes for so many. Sampling is below it.
constexpr std::int64_t fork_threshold = 20000;

// Calls body(task) for the tasks 0..tasks-1, shared among the threads when the call is about at least
// fork_threshold elements.
template <class Body>
void for_each_task(std::int64_t tasks, std::int64_t elements, Body body) {
    if (elements < fork_threshold) {
        for (std::int64_t task = 0; task < tasks; ++task) body(task);
        return;
    }
    share_each(tasks, std::move(body));
}

// 16 KiB of float: several streams of them fit into the first-level cache.
constexpr std::int64_t block_elements = 4096;

// Calls body(begin, end) for consecutive blocks of 0..count-1, shared among the threads.
template <class Body>
void for_each_block(std::int64_t count, Body body) {
    const std::int64_t blocks = (count + block_elements - 1) / block_elements;
    for_each_task(blocks, count, [=](std::int64_t block) {
        body(block * block_elements, std::min(count, (block + 1) * block_elements));
    });
}

// The most slices a sum over rows is cut into, and so the workspace of such a kernel in units of its result.
constexpr std::int64_t max_row_slices = 16;

// The slices for that many rows: at least 16 rows each, so that a slice earns its share of the final sum.
inline std::int64_t row_slices(std::int64_t rows) {
    return std::clamp(rows / 16, std::int64_t{1}, max_row_slices);
}

struct RowRange {
    std::int64_t begin, end;
};

// Slice `index` of `slices`; their sizes differ by at most one row.
inline RowRange row_slice(std::int64_t rows, std::int64_t slices, std::int64_t index) {
    return {rows * index / slices, rows * (index + 1) / slices};
}

// sums [width] += the slices' parts, parts [slices, width] with a distance of `stride`, in the order of
// slices.
inline void add_slices(float* sums, const float* parts, std::int64_t stride, std::int64_t slices,
                       std::int64_t width) {
    constexpr std::int64_t columns = 64;
    for_each_task((width + columns - 1) / columns, slices * width, [=](std::int64_t task) {
        const std::int64_t first = task * columns, count = std::min(columns, width - first);
        float totals[columns] = {};
        for (std::int64_t slice = 0; slice < slices; ++slice) {
            const float* part = parts + slice * stride + first;
#pragma omp simd
            for (std::int64_t i = 0; i < count; ++i) totals[i] += part[i];
        }
#pragma omp simd
        for (std::int64_t i = 0; i < count; ++i) sums[first + i] += totals[i];
    });
}

}  // namespace cpu
