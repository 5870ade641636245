#include "models/metrics/frechet.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <stdexcept>

#include "models/metrics/linear_algebra.h"
#include "runtime/base/error.h"
#include "runtime/tensor/random.h"

namespace {

std::size_t at(std::int64_t index) {
    return static_cast<std::size_t>(index);
}

void require_shapes(const Moments& moments) {
    if (moments.mean.empty() || moments.covariance.size() != moments.mean.size() * moments.mean.size())
        throw std::logic_error("Frechet distance: a mean and a covariance of different widths");
}

double trace_of(const Moments& moments) {
    double trace = 0;
    for (std::int64_t i = 0; i < moments.width(); ++i)
        trace += moments.covariance[at(i * moments.width() + i)];
    return trace;
}

// The largest rank that a covariance of this many samples can have.
std::int64_t largest_rank(const Moments& moments) {
    return moments.count > 0 ? std::min(moments.width(), moments.count - 1) : moments.width();
}

// Least squares over x = 1 / count.
void fit_line(FrechetExtrapolation& result) {
    const auto n = static_cast<double>(result.points.size());
    double mean_x = 0, mean_y = 0, xx = 0, xy = 0;
    for (const auto& [count, distance] : result.points) {
        mean_x += 1 / static_cast<double>(count) / n;
        mean_y += distance / n;
    }
    for (const auto& [count, distance] : result.points) {
        const double x = 1 / static_cast<double>(count) - mean_x;
        xx += x * x;
        xy += x * (distance - mean_y);
    }
    result.slope = xy / xx;
    result.value = mean_y - result.slope * mean_x;
}

}  // namespace

FrechetReference::FrechetReference(const Moments& reference)
    : mean_(reference.mean), rank_(largest_rank(reference)) {
    require_shapes(reference);
    trace_ = trace_of(reference);
    root_ = symmetric_square_root(reference.covariance, width());
}

double FrechetReference::distance(const Moments& generated) const {
    require_shapes(generated);
    require_same_width(generated.width(), width(), "Frechet distance");
    double difference = 0;
    for (std::int64_t i = 0; i < width(); ++i) {
        const double d = generated.mean[at(i)] - mean_[at(i)];
        difference += d * d;
    }
    const auto eigenvalues = symmetric_eigenvalues(
        square_product(square_product(root_, generated.covariance, width()), root_, width()), width());
    const std::int64_t rank = std::min(rank_, largest_rank(generated));
    double root_trace = 0;
    for (const double value : std::span(eigenvalues).last(at(rank)))
        root_trace += std::sqrt(std::max(value, 0.0));
    const double result = difference + trace_ + trace_of(generated) - 2 * root_trace;
    if (!std::isfinite(result)) fail("Frechet distance: a mean is not finite");
    return result;
}

FrechetExtrapolation extrapolate(const FrechetReference& reference, const FeatureMatrix& generated,
                                 std::uint64_t seed, const MetricProgress& progress) {
    require_features(generated, extrapolation_samples, "extrapolated Frechet distance");
    require_same_width(generated.width, reference.width(), "extrapolated Frechet distance");
    const std::int64_t all = generated.rows(), least = all / 3;
    const PhiloxKey key = random_key(seed, "Frechet distance/extrapolation");
    std::vector<std::int32_t> order(at(all));
    FrechetExtrapolation result;
    for (std::int64_t i = 0; i < extrapolation_points; ++i) {
        const std::int64_t count = least + (all - least) * i / (extrapolation_points - 1);
        random_order(order, key, i, 0);
        const auto share = [&](std::int64_t points) {
            return static_cast<double>(points) / static_cast<double>(extrapolation_points);
        };
        const Moments subset =
            moments(generated, std::span(order).first(at(count)), part_of(progress, share(i), share(i + 1)));
        result.points.push_back({count, reference.distance(subset)});
    }
    fit_line(result);
    return result;
}
