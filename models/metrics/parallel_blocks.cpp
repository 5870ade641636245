#include "models/metrics/parallel_blocks.h"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <stdexcept>

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
    // An exception may not leave a parallel region: between rounds `progress` may throw.
    const std::int64_t round = progress ? 4 * omp_get_max_threads() : count;
    std::exception_ptr failure;
    for (std::int64_t first = 0; first < count; first += round) {
        const std::int64_t last = std::min(first + round, count);
#pragma omp parallel for schedule(dynamic) if (last - first > 1)
        for (std::int64_t block = first; block < last; ++block) {
            try {
                body(block);
            } catch (...) {
#pragma omp critical(metrics_failure)
                if (!failure) failure = std::current_exception();
            }
        }
        if (failure) std::rethrow_exception(failure);
        if (progress) progress(static_cast<double>(last) / static_cast<double>(count));
    }
}
