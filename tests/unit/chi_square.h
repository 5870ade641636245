// Pearson's chi-square tests, at a significance of 0.001.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

// The value that chi-square with these degrees of freedom exceeds with a probability of 0.001 (approximated
// as by Wilson and Hilferty 1931: within 0.5 % from 15 degrees of freedom on).
inline double chi_square_limit(std::int64_t degrees) {
    constexpr double quantile = 3.0902;  // of the normal distribution, at 0.999
    const double variance = 2 / (9 * static_cast<double>(degrees));
    return static_cast<double>(degrees) * std::pow(1 - variance + quantile * std::sqrt(variance), 3);
}

// Of counts that are expected to be equal; one degree of freedom less than there are counts.
inline double chi_square_of_equal(std::span<const std::int64_t> counts) {
    double expected = 0, squares = 0;
    for (const std::int64_t count : counts)
        expected += static_cast<double>(count) / static_cast<double>(counts.size());
    for (const std::int64_t count : counts)
        squares += std::pow(static_cast<double>(count) - expected, 2) / expected;
    return squares;
}

// Of masks [samples, places] that hide k of their places each, all places being equally likely; one degree of
// freedom less than there are places. A place's count has the variance sum of k/places (1 - k/places), and
// two places' counts the correlation -1 / (places - 1).
inline double chi_square_of_masks(std::span<const std::uint8_t> masks, std::int64_t places) {
    std::vector<std::int64_t> counts(static_cast<std::size_t>(places));
    double mean = 0, variance = 0, squares = 0;
    for (std::size_t first = 0; first < masks.size(); first += counts.size()) {
        double ratio = 0;
        for (std::size_t place = 0; place < counts.size(); ++place) {
            counts[place] += masks[first + place];
            ratio += masks[first + place] / static_cast<double>(places);
        }
        mean += ratio;
        variance += ratio * (1 - ratio);
    }
    for (const std::int64_t count : counts) squares += std::pow(static_cast<double>(count) - mean, 2);
    return squares / variance * static_cast<double>(places - 1) / static_cast<double>(places);
}
