#include "models/metrics/precision_recall.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "runtime/base/error.h"
#include "tests/unit/models/metrics/random_features.h"

namespace {

double squared_distance(const FeatureMatrix& a, std::int64_t i, const FeatureMatrix& b, std::int64_t j) {
    double sum = 0;
    for (std::int64_t k = 0; k < a.width; ++k) {
        const double difference = value_at(a, i, k) - value_at(b, j, k);
        sum += difference * difference;
    }
    return sum;
}

double radius(const FeatureMatrix& points, std::int64_t i, std::int64_t k) {
    std::vector<double> distances;
    for (std::int64_t j = 0; j < points.rows(); ++j)
        if (j != i) distances.push_back(squared_distance(points, i, points, j));
    std::ranges::sort(distances);
    return distances[static_cast<std::size_t>(k - 1)];
}

// Share of `points` within the manifold of `centres`, straight from the definition.
double share_within(const FeatureMatrix& points, const FeatureMatrix& centres, std::int64_t k) {
    std::vector<double> radii;
    for (std::int64_t j = 0; j < centres.rows(); ++j) radii.push_back(radius(centres, j, k));
    int within = 0;
    for (std::int64_t i = 0; i < points.rows(); ++i)
        for (std::int64_t j = 0; j < centres.rows(); ++j)
            if (squared_distance(points, i, centres, j) <= radii[static_cast<std::size_t>(j)]) {
                ++within;
                break;
            }
    return within / static_cast<double>(points.rows());
}

}  // namespace

TEST_CASE("precision and recall agree with their definition, in blocks of any size") {
    const FeatureMatrix x = normal_features(63, 6, "x", 0.3f, 0.8f), y = normal_features(70, 6, "y");
    for (const std::int64_t k : {1, 3, 5}) {
        const double precision = share_within(x, y, k), recall = share_within(y, x, k);
        CHECK(precision > 0.1);
        CHECK(recall > 0.05);
        CHECK(precision != recall);
        for (const std::int64_t block : {512, 63, 16, 1}) {
            const auto result = precision_recall(x, y, k, {}, block);
            CHECK(result.precision == doctest::Approx(precision).epsilon(1e-12));
            CHECK(result.recall == doctest::Approx(recall).epsilon(1e-12));
        }
    }
}

TEST_CASE("precision and recall: copies lie within, points far away do not, and a rim does") {
    const FeatureMatrix y = normal_features(30, 4, "y");
    CHECK(precision_recall(y, y).precision == 1);
    CHECK(precision_recall(y, y).recall == 1);
    const FeatureMatrix far = normal_features(30, 4, "y", 1000);
    CHECK(precision_recall(far, y).precision == 0);
    CHECK(precision_recall(far, y).recall == 0);
    // Radii 3, 2, 2 and 3: the point at 6 lies on the rim around the one at 3, and at 7 on none.
    CHECK(precision_recall(FeatureMatrix{1, {6, 7, 8, 9}}, FeatureMatrix{1, {0, 1, 2, 3}}).precision == 0.25);
}

TEST_CASE("precision and recall of near copies, whose inner products differ by rounding alone") {
    FeatureMatrix x = normal_features(60, 64, "x", 0, 0.001f), y = normal_features(60, 64, "y", 0, 0.0011f);
    for (std::size_t i = 0; i < 60; ++i) x.values[i * 64] = y.values[i * 64] = 1e5f;
    const auto result = precision_recall(x, y);
    CHECK(result.precision == share_within(x, y, 3));
    CHECK(result.recall == share_within(y, x, 3));
    CHECK(result.precision > 0);

    FeatureMatrix copies{64, {}};
    for (int i = 0; i < 20; ++i) copies.values.insert(copies.values.end(), x.row(0), x.row(1));
    CHECK(precision_recall(copies, copies).precision == 1);
    CHECK(precision_recall(x, copies).precision == 1.0 / 60);
}

TEST_CASE("precision and recall: refusals, progress and interruption") {
    const FeatureMatrix x = normal_features(40, 3, "x"), few = normal_features(3, 3, "few");
    CHECK_THROWS_AS(precision_recall(x, few), Error);
    CHECK_THROWS_AS(precision_recall(few, x), Error);
    CHECK_THROWS_AS(precision_recall(x, normal_features(40, 4, "wide")), Error);
    CHECK_THROWS_AS(precision_recall(x, x, 0), std::logic_error);
    double last_share = 0;
    precision_recall(
        x, x, 3,
        [&](double share) {
            CHECK(share > last_share);
            last_share = share;
        },
        4);
    CHECK(last_share == doctest::Approx(1));
    const auto interrupted = [](double) { throw std::runtime_error("interrupted"); };
    CHECK_THROWS_AS(precision_recall(x, x, 3, interrupted, 4), std::runtime_error);
}
