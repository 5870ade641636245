// Large arrays of a golden are stored as sketches: of each row of a matrix four sums, in which every element
// stands with a random sign. An array that differs has another sketch, whichever elements differ, since their
// differences cancel in all four sums only by chance; rows stay apart, and exchanged columns change the sums.
// Sums are larger than elements, so that an error in one element alone counts less, a fifth of it in these
// goldens (their median), than in the array itself.
//
//   "train.grad.head.weight"           the array itself
//   "train.grad.head.weight.sketch"    its sketch [rows, 4], rows being the array's first dimension
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "runtime/files/safetensors.h"
#include "tests/golden/relative_difference.h"

// S[r, k] = sum over c of sign(c, k) X[r, c], in double, of a matrix X [rows, columns]. sign(c, k) is + where
// bit k of the c-th number of std::mt19937 is set, whose numbers the C++ standard fixes.
inline std::vector<float> sketch(std::span<const float> matrix, std::size_t rows) {
    constexpr std::size_t sums = 4;
    const std::size_t columns = matrix.size() / rows;
    REQUIRE(matrix.size() == rows * columns);
    std::mt19937 numbers;
    std::vector<double> signs(columns * sums);
    for (std::size_t c = 0; c < columns; ++c) {
        const std::uint32_t bits = static_cast<std::uint32_t>(numbers());
        for (std::size_t k = 0; k < sums; ++k) signs[c * sums + k] = (bits >> k & 1) != 0 ? 1 : -1;
    }
    std::vector<float> all(rows * sums);
    for (std::size_t r = 0; r < rows; ++r) {
        double total[sums] = {};
        for (std::size_t c = 0; c < columns; ++c)
            for (std::size_t k = 0; k < sums; ++k)
                total[k] += signs[c * sums + k] * static_cast<double>(matrix[r * columns + c]);
        for (std::size_t k = 0; k < sums; ++k) all[r * sums + k] = static_cast<float>(total[k]);
    }
    return all;
}

// An array of the golden as it is stored, and values of the array's shape in the same form.
inline std::span<const float> stored(const SafetensorsFile& golden, const std::string& name) {
    return golden.floats(golden.contains(name) ? name : name + ".sketch");
}
inline std::vector<float> as_stored(const SafetensorsFile& golden, const std::string& name,
                                    std::span<const float> values) {
    if (golden.contains(name)) return {values.begin(), values.end()};
    return sketch(values, static_cast<std::size_t>(golden.shape(name + ".sketch")[0]));
}

// relative_difference of the values from the golden's array, in the form that is stored.
inline double difference_from(const SafetensorsFile& golden, const std::string& name,
                              std::span<const float> values) {
    return relative_difference(as_stored(golden, name, values), stored(golden, name));
}
