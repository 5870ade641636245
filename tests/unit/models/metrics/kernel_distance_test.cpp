#include "models/metrics/kernel_distance.h"

#include <doctest/doctest.h>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "kernels/common/threads.h"
#include "runtime/base/error.h"
#include "tests/unit/models/metrics/random_features.h"

namespace {

using Rows = std::vector<std::int32_t>;

double mean_kernel(const FeatureMatrix& a, const Rows& rows_a, const FeatureMatrix& b, const Rows& rows_b,
                   bool same) {
    double sum = 0;
    int pairs = 0;
    for (std::size_t i = 0; i < rows_a.size(); ++i)
        for (std::size_t j = 0; j < rows_b.size(); ++j) {
            if (same && i == j) continue;
            double product = 0;
            for (std::int64_t k = 0; k < a.width; ++k)
                product += value_at(a, rows_a[i], k) * value_at(b, rows_b[j], k);
            sum += std::pow(product / static_cast<double>(a.width) + 1, 3);
            ++pairs;
        }
    return sum / pairs;
}

// Straight from the definition.
double estimate(const FeatureMatrix& x, const Rows& rows_x, const FeatureMatrix& y, const Rows& rows_y) {
    return mean_kernel(x, rows_x, x, rows_x, true) + mean_kernel(y, rows_y, y, rows_y, true) -
           2 * mean_kernel(x, rows_x, y, rows_y, false);
}

Rows all_rows(const FeatureMatrix& features) {
    Rows rows(static_cast<std::size_t>(features.rows()));
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
}

Rows subset(const FeatureMatrix& features, std::uint64_t seed, const char* purpose, std::int64_t index) {
    Rows order(static_cast<std::size_t>(features.rows()));
    random_order(order, random_key(seed, purpose), index, 0);
    order.resize(50);
    return order;
}

}  // namespace

TEST_CASE("kernel distance and its standard error agree with their definitions, in blocks of any size") {
    const FeatureMatrix x = normal_features(61, 5, "x", 0.1f), y = normal_features(73, 5, "y", 0, 1.1f);
    const double value = estimate(x, all_rows(x), y, all_rows(y));
    std::vector<double> estimates;
    for (std::int64_t i = 0; i < 100; ++i)
        estimates.push_back(estimate(x, subset(x, 9, "kernel distance/generated", i), y,
                                     subset(y, 9, "kernel distance/reference", i)));
    double mean = 0, squares = 0;
    for (const double each : estimates) mean += each / 100;
    for (const double each : estimates) squares += (each - mean) * (each - mean);
    const double error = std::sqrt(squares / 99) / 10;
    CHECK(std::fabs(value) > 1e-3);
    for (const std::int64_t block : {512, 61, 20, 1}) {
        const auto result = kernel_distance(x, y, 9, {}, block);
        CHECK(result.value == doctest::Approx(value).epsilon(1e-11));
        CHECK(result.standard_error == doctest::Approx(error).epsilon(1e-10));
        CHECK(result.subset_rows == 50);
    }
    CHECK(kernel_distance(x, y, 10).standard_error != doctest::Approx(error));
}

TEST_CASE("kernel distance: about 0 of equal distributions, positive of others") {
    const FeatureMatrix x = normal_features(400, 8, "x"), y = normal_features(500, 8, "y"),
                        shifted = normal_features(400, 8, "x", 0.5f);
    const auto equal = kernel_distance(x, y, 1), other = kernel_distance(shifted, y, 1);
    CHECK(std::fabs(equal.value) < 0.05);
    CHECK(other.value > 0.5);
}

TEST_CASE("kernel distance is the same bits for any number of threads") {
    const FeatureMatrix x = normal_features(150, 20, "x"), y = normal_features(130, 20, "y");
    const int threads = cpu::thread_count();
    cpu::set_thread_count(1);
    const auto one = kernel_distance(x, y, 1, {}, 32);
    cpu::set_thread_count(3);
    const auto three = kernel_distance(x, y, 1, {}, 32);
    cpu::set_thread_count(threads);
    CHECK(one.value == three.value);
    CHECK(one.standard_error == three.standard_error);
}

TEST_CASE("kernel distance: rows of a subset") {
    CHECK(kernel_distance_subset_rows(50'000, 50'000) == 1000);
    CHECK(kernel_distance_subset_rows(50'000, 2000) == 200);
    CHECK(kernel_distance_subset_rows(300, 400) == 50);
    CHECK(kernel_distance_subset_rows(10, 400) == 10);
}

TEST_CASE("kernel distance: refusals, progress and interruption") {
    const FeatureMatrix x = normal_features(40, 3, "x"), one = normal_features(1, 3, "one");
    CHECK_THROWS_AS(kernel_distance(x, one, 1), Error);
    CHECK_THROWS_AS(kernel_distance(one, x, 1), Error);
    CHECK_THROWS_AS(kernel_distance(x, normal_features(40, 4, "wide"), 1), Error);
    std::vector<double> shares;
    kernel_distance(
        x, x, 1, [&](double share) { shares.push_back(share); }, 4);
    REQUIRE(shares.size() >= 3);
    for (std::size_t i = 1; i < shares.size(); ++i) CHECK(shares[i] > shares[i - 1]);
    CHECK(shares.back() == doctest::Approx(1));
    const auto interrupted = [](double share) {
        if (share > 0.5) throw std::runtime_error("interrupted");
    };
    CHECK_THROWS_AS(kernel_distance(x, x, 1, interrupted, 4), std::runtime_error);
}
