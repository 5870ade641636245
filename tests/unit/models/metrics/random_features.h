// Random features for the measures of quality.
#pragma once

#include <cstdint>
#include <string_view>

#include "models/metrics/feature_matrix.h"
#include "runtime/tensor/random.h"

// From normal(mean, deviation), independent.
inline FeatureMatrix normal_features(std::int64_t rows, std::int64_t width, std::string_view name,
                                     float mean = 0, float deviation = 1) {
    FeatureMatrix features{width, std::vector<float>(static_cast<std::size_t>(rows * width))};
    random_normal(features.values.data(), rows * width, random_key(1, name), deviation);
    for (float& value : features.values) value += mean;
    return features;
}

inline double value_at(const FeatureMatrix& features, std::int64_t row, std::int64_t column) {
    return static_cast<double>(features.row(row)[column]);
}
