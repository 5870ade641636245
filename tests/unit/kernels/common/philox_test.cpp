#include "kernels/common/philox.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "tests/unit/kernels/bf16_check.h"
#include "tests/unit/kernels/common/philox_device_test.h"

using Words = std::array<std::uint32_t, 4>;

TEST_CASE("philox gives the published words") {
    // Known-answer vectors of philox4x32-10, Random123 1.x.
    CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    const std::uint32_t ones = 0xffffffff;
    CHECK(philox({ones, ones, ones, ones}, {ones, ones}) ==
          Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
          Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("philox: every word of counter and key matters") {
    const Words reference = philox({1, 2, 3, 4}, {5, 6});
    CHECK(philox({2, 2, 3, 4}, {5, 6}) != reference);
    CHECK(philox({1, 3, 3, 4}, {5, 6}) != reference);
    CHECK(philox({1, 2, 4, 4}, {5, 6}) != reference);
    CHECK(philox({1, 2, 3, 5}, {5, 6}) != reference);
    CHECK(philox({1, 2, 3, 4}, {6, 6}) != reference);
    CHECK(philox({1, 2, 3, 4}, {5, 7}) != reference);
}

TEST_CASE("unit_float covers [0, 1) in steps of 2^-24") {
    CHECK(unit_float(0) == 0.0f);
    CHECK(unit_float(0xff) == 0.0f);
    CHECK(unit_float(0x100) == 0x1p-24f);
    CHECK(unit_float(0x80000000u) == 0.5f);
    CHECK(unit_float(0xffffffffu) == 1.0f - 0x1p-24f);
}

TEST_CASE("unit_float of philox words has the moments of a uniform number") {
    constexpr std::uint32_t counters = 20000;
    double sum = 0, squares = 0;
    for (std::uint32_t i = 0; i < counters; ++i)
        for (const std::uint32_t word : philox({i, 0, 0, 0}, {7, 11})) {
            const auto u = static_cast<double>(unit_float(word));
            sum += u;
            squares += u * u;
        }
    // Four standard deviations of the mean of 80,000 draws: 4 sqrt(1/12 / n) and 4 sqrt(4/45 / n).
    CHECK(std::abs(sum / (4 * counters) - 0.5) < 0.0041);
    CHECK(std::abs(squares / (4 * counters) - 1.0 / 3) < 0.0043);
}

CUDA_TEST("philox gives the same words and numbers on the device") {
    const std::uint32_t ones = 0xffffffff;
    std::vector<PhiloxCounter> counters = {{0, 0, 0, 0}, {ones, ones, ones, ones}};
    std::vector<PhiloxKey> keys = {{0, 0}, {ones, ones}};
    std::mt19937 engine(3);
    const auto word = [&] { return static_cast<std::uint32_t>(engine()); };
    for (int i = 0; i < 999; ++i) {
        counters.push_back({word(), word(), word(), word()});
        keys.push_back({word(), word()});
    }
    std::vector<std::uint32_t> words(4 * keys.size()), expected;
    std::vector<float> numbers(words.size(), NAN), expected_numbers;
    RUN_CUDA(philox_words, words, numbers, counters, keys, static_cast<std::int64_t>(keys.size()));
    for (std::size_t i = 0; i < keys.size(); ++i)
        for (const std::uint32_t drawn : philox(counters[i], keys[i])) {
            expected.push_back(drawn);
            expected_numbers.push_back(unit_float(drawn));
        }
    CHECK(words == expected);
    CHECK(kernel_check::same_bits(numbers, expected_numbers));
}
