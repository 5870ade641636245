#include "models/metrics/inception_score.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "runtime/base/error.h"
#include "tests/unit/models/metrics/random_features.h"

namespace {

// Straight from the definition: KL(p(y|x) || p(y)) of each picture.
double score_by_definition(const FeatureMatrix& logits, std::int64_t first, std::int64_t last) {
    const auto classes = static_cast<std::size_t>(logits.width);
    std::vector<std::vector<double>> p;
    std::vector<double> marginal(classes);
    for (std::int64_t i = first; i < last; ++i) {
        auto& row = p.emplace_back(classes);
        double sum = 0;
        for (std::size_t k = 0; k < classes; ++k) {
            row[k] = std::exp(static_cast<double>(logits.row(i)[k]));
            sum += row[k];
        }
        for (std::size_t k = 0; k < classes; ++k) {
            row[k] /= sum;
            marginal[k] += row[k] / static_cast<double>(last - first);
        }
    }
    double divergence = 0;
    for (const auto& row : p)
        for (std::size_t k = 0; k < classes; ++k) divergence += row[k] * std::log(row[k] / marginal[k]);
    return std::exp(divergence / static_cast<double>(p.size()));
}

}  // namespace

TEST_CASE("Inception score agrees with its definition, splits of different sizes included") {
    const FeatureMatrix logits = normal_features(47, 6, "logits", 0, 2);
    std::vector<double> scores;
    for (std::int64_t i = 0; i < 10; ++i)
        scores.push_back(score_by_definition(logits, i * 47 / 10, (i + 1) * 47 / 10));
    double mean = 0, variance = 0;
    for (const double score : scores) mean += score / 10;
    for (const double score : scores) variance += (score - mean) * (score - mean) / 10;
    const auto result = inception_score(logits);
    CHECK(mean > 1.5);
    CHECK(result.mean == doctest::Approx(mean).epsilon(1e-12));
    CHECK(result.deviation == doctest::Approx(std::sqrt(variance)).epsilon(1e-10));
    CHECK(inception_score(logits, 1).mean ==
          doctest::Approx(score_by_definition(logits, 0, 47)).epsilon(1e-12));
}

TEST_CASE("Inception score: between 1 and the number of classes, at any logits") {
    FeatureMatrix sure{5, std::vector<float>(40 * 5, -1e30f)}, unsure{4, std::vector<float>(40 * 4, 7)};
    for (std::size_t i = 0; i < 40; ++i) sure.values[i * 5 + i % 4] = 1e30f;  // never the last
    CHECK(inception_score(sure).mean == doctest::Approx(4));
    CHECK(inception_score(sure).deviation == doctest::Approx(0));
    CHECK(inception_score(unsure).mean == doctest::Approx(1));
}

TEST_CASE("Inception score: refusals") {
    CHECK_THROWS_AS(inception_score(normal_features(9, 3, "logits")), Error);
    CHECK_THROWS_AS(
        inception_score(FeatureMatrix{1, std::vector<float>(10, std::numeric_limits<float>::quiet_NaN())}),
        Error);
    CHECK_THROWS_AS(inception_score(normal_features(9, 3, "logits"), 0), std::logic_error);
}
