// Sums of many single numbers, in double, over fixed slices (partition.h): at most 64, enough for the threads
// of any machine this runs on, few enough that the cost of adding them is negligible. Converting to double
// halves the width of the vectors, but the loops still outrun memory.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/common/partition.h"

namespace cpu {

constexpr std::int64_t max_scalar_slices = 64;

// term(begin) + ... + term(end - 1). 32 running sums side by side hide the latency of the addition.
template <class Term>
double slice_total(std::int64_t begin, std::int64_t end, Term term) {
    constexpr std::int64_t lanes = 32;
    double sums[lanes] = {};
    std::int64_t i = begin;
    for (; i + lanes <= end; i += lanes) {
#pragma omp simd
        for (std::int64_t lane = 0; lane < lanes; ++lane) sums[lane] += term(i + lane);
    }
    for (std::int64_t lane = 0; i < end; ++i, ++lane) sums[lane] += term(i);
    double total = 0;
    for (const double sum : sums) total += sum;
    return total;
}

// term(0) + ... + term(count - 1), each a double; `partials` [max_scalar_slices].
template <class Term>
double total_of(double* partials, std::int64_t count, Term term) {
    const std::int64_t slices = std::clamp(count / block_elements, std::int64_t{1}, max_scalar_slices);
    for_each_task(slices, count, [=](std::int64_t slice) {
        const auto [begin, end] = row_slice(count, slices, slice);
        partials[slice] = slice_total(begin, end, term);
    });
    double total = 0;
    for (std::int64_t slice = 0; slice < slices; ++slice) total += partials[slice];
    return total;
}

}  // namespace cpu
