#include "models/metrics/feature_matrix.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "runtime/base/error.h"

void require_features(const FeatureMatrix& features, std::int64_t least, std::string_view measure) {
    if (features.width <= 0 || features.values.size() % static_cast<std::size_t>(features.width) != 0)
        throw std::logic_error("features that are not whole rows");
    if (features.rows() < least)
        fail("{}: features of {} pictures, expected at least {}", measure, features.rows(), least);
    const auto found =
        std::ranges::find_if_not(features.values, [](float value) { return std::isfinite(value); });
    if (found != features.values.end())
        fail("{}: feature {} of picture {} is {}, expected a finite number", measure,
             (found - features.values.begin()) % features.width,
             (found - features.values.begin()) / features.width, *found);
}

void require_same_width(std::int64_t generated, std::int64_t reference, std::string_view measure) {
    if (generated != reference)
        fail("{}: {} generated features per picture, expected {} as in the reference", measure, generated,
             reference);
}
