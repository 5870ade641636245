#include "models/metrics/frechet.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "runtime/base/error.h"
#include "tests/unit/models/metrics/random_features.h"

namespace {

double distance(const Moments& generated, const Moments& reference) {
    return FrechetReference(reference).distance(generated);
}

double trace(const Moments& moments) {
    double sum = 0;
    for (std::size_t i = 0; i < moments.mean.size(); ++i)
        sum += moments.covariance[i * moments.mean.size() + i];
    return sum;
}

double squared_difference_of_means(const Moments& a, const Moments& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.mean.size(); ++i) sum += std::pow(a.mean[i] - b.mean[i], 2);
    return sum;
}

// normal(0, identity), known exactly.
Moments standard_normal(std::int64_t width) {
    const auto d = static_cast<std::size_t>(width);
    Moments moments{std::vector<double>(d), std::vector<double>(d * d), 0};
    for (std::size_t i = 0; i < d; ++i) moments.covariance[i * d + i] = 1;
    return moments;
}

// The sum of the singular values of G [3, 3] with at most two that are not 0, from the invariants of G G^T:
// (s + t)^2 = s^2 + t^2 + 2 s t.
double sum_of_two_singular_values(const double (&G)[3][3]) {
    double P[3][3] = {}, trace_P = 0, trace_PP = 0;
    for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j)
            for (int k = 0; k < 3; ++k) P[i][j] += G[i][k] * G[j][k];
    for (int i = 0; i < 3; ++i) {
        trace_P += P[i][i];
        for (int j = 0; j < 3; ++j) trace_PP += P[i][j] * P[j][i];
    }
    return std::sqrt(trace_P + 2 * std::sqrt((trace_P * trace_P - trace_PP) / 2));
}

}  // namespace

TEST_CASE("Frechet distance of diagonal covariances: roots of each variance") {
    const Moments a{{1, 2, 3}, {4, 0, 0, 0, 9, 0, 0, 0, 0.25}, 0},
        b{{0, 2, 5}, {1, 0, 0, 0, 16, 0, 0, 0, 0}, 0};
    CHECK(distance(a, b) == doctest::Approx(1 + 4 + 1 + 1 + 0.25).epsilon(1e-12));
    CHECK(distance(b, a) == doctest::Approx(7.25).epsilon(1e-12));
}

TEST_CASE("Frechet distance of two features: the closed form of the trace of a root") {
    const Moments a = moments(normal_features(50, 2, "a", 1, 2)), b{{0.5, -1}, {3, -1.2, -1.2, 0.7}, 0};
    const auto& s = a.covariance;
    const auto& t = b.covariance;
    const double product_trace = s[0] * t[0] + 2 * s[1] * t[1] + s[3] * t[3],
                 determinant = (s[0] * s[3] - s[1] * s[2]) * (t[0] * t[3] - t[1] * t[2]);
    const double expected = squared_difference_of_means(a, b) + trace(a) + trace(b) -
                            2 * std::sqrt(product_trace + 2 * std::sqrt(determinant));
    CHECK(expected > 1);
    CHECK(distance(a, b) == doctest::Approx(expected).epsilon(1e-12));
    CHECK(distance(b, a) == doctest::Approx(expected).epsilon(1e-12));
}

// With centred samples X, Y the trace of the root is the sum of the singular values of X Y^T, divided by the
// roots of the numbers of samples less 1.
TEST_CASE("Frechet distance of fewer samples than features") {
    constexpr std::int64_t d = 40;
    const FeatureMatrix x = normal_features(3, d, "x", 2), y = normal_features(3, d, "y");
    const Moments a = moments(x), b = moments(y);
    double G[3][3] = {};
    for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j)
            for (std::int64_t k = 0; k < d; ++k)
                G[i][j] += (value_at(x, i, k) - a.mean[static_cast<std::size_t>(k)]) *
                           (value_at(y, j, k) - b.mean[static_cast<std::size_t>(k)]) / 2;
    const double expected =
        squared_difference_of_means(a, b) + trace(a) + trace(b) - 2 * sum_of_two_singular_values(G);
    CHECK(distance(a, b) == doctest::Approx(expected).epsilon(1e-10));
    // Roots of eigenvalues that are 0 but for rounding would add up to about 1e-6.
    CHECK(std::fabs(distance(a, a)) < 1e-10);
}

TEST_CASE("Frechet distance: the extrapolation removes the bias") {
    constexpr std::int64_t width = 16, rows = 601;
    const FrechetReference reference(standard_normal(width));
    const FeatureMatrix generated = normal_features(rows, width, "generated");
    double last_share = 0;
    const auto result = extrapolate(reference, generated, 5, [&](double share) {
        CHECK(share >= last_share);
        last_share = share;
    });
    CHECK(last_share == doctest::Approx(1));

    REQUIRE(result.points.size() == 15);
    CHECK(result.points.front().count == 200);
    CHECK(result.points.back().count == rows);
    CHECK(result.points[7].count == 400);
    const double plain = reference.distance(moments(generated));
    CHECK(result.points.back().distance == doctest::Approx(plain).epsilon(1e-12));
    CHECK(plain > 0.1);
    CHECK(std::fabs(result.value) < plain / 4);
    CHECK(result.slope > 0);

    // What makes a line the best one: what is left over sums to 0, also weighted by 1 / N.
    double rest = 0, weighted = 0;
    for (const auto& [count, value] : result.points) {
        const double x = 1 / static_cast<double>(count), difference = value - result.value - result.slope * x;
        rest += difference;
        weighted += difference * x;
    }
    CHECK(std::fabs(rest) < 1e-12);
    CHECK(std::fabs(weighted) < 1e-14);

    const auto again = extrapolate(reference, generated, 5), other = extrapolate(reference, generated, 6);
    CHECK(again.value == result.value);
    CHECK(other.value != result.value);
}

TEST_CASE("Frechet distance: refusals and interruption") {
    const FrechetReference reference(standard_normal(4));
    CHECK_THROWS_AS(reference.distance(standard_normal(5)), Error);
    CHECK_THROWS_AS(FrechetReference(Moments{{1, 2}, {1, 0, 0}, 0}), std::logic_error);
    CHECK_THROWS_AS(FrechetReference(Moments{}), std::logic_error);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_AS(FrechetReference(Moments{{0}, {nan}, 0}), Error);
    Moments unknown_mean = standard_normal(4);
    unknown_mean.mean[2] = nan;
    CHECK_THROWS_AS(reference.distance(unknown_mean), Error);
    CHECK_THROWS_AS(extrapolate(reference, normal_features(29, 4, "few"), 1), Error);
    CHECK_THROWS_AS(extrapolate(reference, normal_features(30, 5, "wide"), 1), Error);
    const auto interrupted = [](double) { throw std::runtime_error("interrupted"); };
    CHECK_THROWS_AS(extrapolate(reference, normal_features(30, 4, "few"), 1, interrupted),
                    std::runtime_error);
}
