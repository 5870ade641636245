// How far arrays are from a golden's.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <span>

// The largest difference, relative to the largest expected value; of expected zeros the difference itself.
inline double relative_difference(std::span<const float> actual, std::span<const float> expected) {
    REQUIRE(actual.size() == expected.size());
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
        largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
        difference = std::max(difference,
                              std::fabs(static_cast<double>(actual[i]) - static_cast<double>(expected[i])));
    }
    return largest > 0 ? difference / largest : difference;
}
