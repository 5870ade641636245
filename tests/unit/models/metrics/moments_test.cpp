#include "models/metrics/moments.h"

#include <doctest/doctest.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "kernels/common/threads.h"
#include "runtime/base/error.h"
#include "tests/unit/models/metrics/random_features.h"

namespace {

// Largest differences from the definitions, over the given rows.
struct Difference {
    double mean = 0, covariance = 0;
};
Difference difference_from_definition(const Moments& actual, const FeatureMatrix& features,
                                      const std::vector<std::int32_t>& rows) {
    const auto d = static_cast<std::size_t>(features.width);
    std::vector<double> mean(d), covariance(d * d);
    for (const std::int32_t row : rows)
        for (std::size_t i = 0; i < d; ++i)
            mean[i] += static_cast<double>(features.row(row)[i]) / static_cast<double>(rows.size());
    for (const std::int32_t row : rows) {
        const float* x = features.row(row);
        for (std::size_t i = 0; i < d; ++i)
            for (std::size_t j = 0; j < d; ++j)
                covariance[i * d + j] +=
                    (static_cast<double>(x[i]) - mean[i]) * (static_cast<double>(x[j]) - mean[j]);
    }
    REQUIRE(actual.mean.size() == d);
    REQUIRE(actual.covariance.size() == d * d);
    Difference result;
    for (std::size_t i = 0; i < d; ++i)
        result.mean = std::max(result.mean, std::fabs(actual.mean[i] - mean[i]));
    for (std::size_t i = 0; i < d * d; ++i)
        result.covariance =
            std::max(result.covariance,
                     std::fabs(actual.covariance[i] - covariance[i] / static_cast<double>(rows.size() - 1)));
    return result;
}

std::vector<std::int32_t> all_rows(const FeatureMatrix& features) {
    std::vector<std::int32_t> rows(static_cast<std::size_t>(features.rows()));
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
}

}  // namespace

TEST_CASE("moments agree with their definition, over several blocks of rows and columns") {
    for (const auto& [rows, width] : {std::array{2, 1}, {50, 5}, {1030, 7}, {2051, 3}, {20, 300}}) {
        const FeatureMatrix features = normal_features(rows, width, "moments", 3, 2);
        const Moments result = moments(features);
        CHECK(result.count == rows);
        const auto [mean, covariance] = difference_from_definition(result, features, all_rows(features));
        CHECK(mean < 1e-12);
        CHECK(covariance < 1e-11);
    }
}

TEST_CASE("moments of chosen rows, in any order") {
    const FeatureMatrix features = normal_features(40, 6, "moments");
    const std::vector<std::int32_t> rows{7, 3, 39, 0, 12};
    const Moments result = moments(features, rows);
    CHECK(result.count == 5);
    const auto [mean, covariance] = difference_from_definition(result, features, rows);
    CHECK(mean < 1e-14);
    CHECK(covariance < 1e-13);
}

TEST_CASE("covariances lose no digits to a large mean") {
    FeatureMatrix features{1, {}};
    for (int i = 0; i < 3000; ++i) features.values.push_back(i % 2 == 0 ? 8388607.0f : 8388609.0f);
    CHECK(moments(features).covariance[0] == doctest::Approx(3000.0 / 2999).epsilon(1e-12));
}

TEST_CASE("moments are the same bits for any number of threads") {
    const FeatureMatrix features = normal_features(300, 260, "moments");
    const int threads = cpu::thread_count();
    cpu::set_thread_count(1);
    const Moments one = moments(features);
    cpu::set_thread_count(3);
    const Moments three = moments(features);
    cpu::set_thread_count(threads);
    CHECK(one.covariance == three.covariance);
}

TEST_CASE("moments: refusals and interruption") {
    const FeatureMatrix features = normal_features(5, 3, "moments");
    CHECK_THROWS_AS(moments(FeatureMatrix{3, {1, 2, 3}}), Error);
    CHECK_THROWS_AS(moments(FeatureMatrix{3, {1, 2, 3, 4}}), std::logic_error);
    CHECK_THROWS_AS(moments(FeatureMatrix{1, {1, std::numeric_limits<float>::infinity()}}), Error);
    CHECK_THROWS_AS(moments(features, std::vector<std::int32_t>{1}), Error);
    CHECK_THROWS_AS(moments(features, std::vector<std::int32_t>{1, 5}), std::logic_error);
    CHECK_THROWS_AS(moments(features, [](double) { throw std::runtime_error("interrupted"); }),
                    std::runtime_error);
}
