// Mean and covariance of features: what a normal distribution that is fitted to them is given by.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/metrics/feature_matrix.h"
#include "models/metrics/parallel_blocks.h"

struct Moments {
    std::vector<double> mean;        // [d]
    std::vector<double> covariance;  // [d, d], divided by count - 1
    std::int64_t count = 0;          // samples; 0: unknown, as in published statistics

    std::int64_t width() const { return static_cast<std::int64_t>(mean.size()); }
};

// In double and two passes, the mean first: the covariance of what is left after subtracting it loses no
// digits to large means. Holds a block of rows in double, never all of them. Throws Error for fewer than 2
// samples or values that are not finite, and what `progress` throws.
Moments moments(const FeatureMatrix& features, const MetricProgress& progress = {});
// Of the rows with these indices. Throws std::logic_error for one outside.
Moments moments(const FeatureMatrix& features, std::span<const std::int32_t> rows,
                const MetricProgress& progress = {});
