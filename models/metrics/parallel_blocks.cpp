#include "models/metrics/parallel_blocks.h"

#include <algorithm>
#include <stdexcept>

#include "kernels/common/threads.h"

MetricProgress part_of(const MetricProgress& progress, double from, double to) {
    if (!progress) return {};
    return [&progress, from, to](double share) { progress(from + (to - from) * share); };
}

std::int64_t blocks_of(std::int64_t count, std::int64_t block) {
    if (block <= 0) throw std::logic_error("blocks: an empty block");
    return (count + block - 1) / block;
}

void for_each_block(std::int64_t count, const MetricProgress& progress,
                    const std::function<void(std::int64_t block)>& body) {
    // Between rounds `progress` may throw.
    const std::int64_t round = progress ? 4 * cpu::thread_count() : count;
    for (std::int64_t first = 0; first < count; first += round) {
        const std::int64_t last = std::min(first + round, count);
        cpu::share_each(last - first, 1, [&](std::int64_t i) { body(first + i); });
        if (progress) progress(static_cast<double>(last) / static_cast<double>(count));
    }
}
