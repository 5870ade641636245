#include "models/metrics/precision_recall.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <vector>

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::size_t at(std::int64_t index) {
    return static_cast<std::size_t>(index);
}

// |x|^2 of each row.
std::vector<double> squared_norms(const FeatureMatrix& features) {
    std::vector<double> norms(at(features.rows()));
    for (std::int64_t i = 0; i < features.rows(); ++i) {
        const float* x = features.row(i);
        for (std::int64_t k = 0; k < features.width; ++k)
            norms[at(i)] += static_cast<double>(x[k]) * static_cast<double>(x[k]);
    }
    return norms;
}

struct Points {
    explicit Points(const FeatureMatrix& matrix) : features(matrix), norms(squared_norms(matrix)) {}
    const FeatureMatrix& features;
    std::vector<double> norms;
};

double squared_distance(const float* x, const float* y, std::int64_t width) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t k = 0; k < width; ++k) {
        const double difference = static_cast<double>(x[k]) - static_cast<double>(y[k]);
        sum += difference * difference;
    }
    return sum;
}

// Inner products to squared distances, |x|^2 + |y|^2 - 2 x.y. Where that cancels, so between near copies,
// the sum of squared differences takes its place: equal points are at distance 0.
void to_squared_distances(const BlockPair& pair, double* products, const Points& a, const Points& b) {
    constexpr double cancelled = 1e-6;
    for (std::int64_t i = 0; i < pair.rows_a; ++i)
        for (std::int64_t j = 0; j < pair.rows_b; ++j) {
            double& value = products[i * pair.rows_b + j];
            const double norms = a.norms[at(pair.first_a + i)] + b.norms[at(pair.first_b + j)];
            value = norms - 2 * value;
            if (value < cancelled * norms)
                value = squared_distance(a.features.row(pair.first_a + i), b.features.row(pair.first_b + j),
                                         a.features.width);
        }
}

// The k smallest of the numbers inserted into each of `rows` rows, ascending.
class SmallestNumbers {
  public:
    SmallestNumbers(std::int64_t rows, std::int64_t k) : k_(k), values_(at(rows * k), infinity) {}

    void insert(std::int64_t row, double value) {
        double* smallest = values_.data() + row * k_;
        if (value >= smallest[k_ - 1]) return;
        std::int64_t i = k_ - 1;
        for (; i > 0 && smallest[i - 1] > value; --i) smallest[i] = smallest[i - 1];
        smallest[i] = value;
    }
    // Of row `row` of another one with the same k.
    void insert(std::int64_t row, const SmallestNumbers& other, std::int64_t other_row) {
        for (std::int64_t i = 0; i < k_; ++i) insert(row, other.values_[at(other_row * k_ + i)]);
    }
    double largest(std::int64_t row) const { return values_[at(row * k_ + k_ - 1)]; }

  private:
    std::int64_t k_;
    std::vector<double> values_;  // [rows, k]
};

// Squared distance of each point to its k-th nearest neighbour. Neither the blocks nor their order matter
// to the smallest numbers.
std::vector<double> squared_radii(const Points& points, std::int64_t k, const std::vector<BlockPair>& pairs,
                                  const MetricProgress& progress) {
    const std::int64_t rows = points.features.rows();
    SmallestNumbers nearest(rows, k);
    std::mutex together;
    for_each_product_block(points.features, points.features, pairs, progress,
                           [&](const BlockPair& pair, double* distances) {
                               to_squared_distances(pair, distances, points, points);
                               SmallestNumbers of_a(pair.rows_a, k), of_b(pair.rows_b, k);
                               for (std::int64_t i = 0; i < pair.rows_a; ++i)
                                   for (std::int64_t j = 0; j < pair.rows_b; ++j) {
                                       if (pair.on_diagonal && i == j) continue;
                                       of_a.insert(i, distances[i * pair.rows_b + j]);
                                       if (!pair.on_diagonal) of_b.insert(j, distances[i * pair.rows_b + j]);
                                   }
                               {
                                   const std::lock_guard one(together);
                                   for (std::int64_t i = 0; i < pair.rows_a; ++i)
                                       nearest.insert(pair.first_a + i, of_a, i);
                                   for (std::int64_t j = 0; j < pair.rows_b; ++j)
                                       nearest.insert(pair.first_b + j, of_b, j);
                               }
                           });
    std::vector<double> radii(at(rows));
    for (std::int64_t i = 0; i < rows; ++i) radii[at(i)] = nearest.largest(i);
    return radii;
}

double share_of(const std::vector<char>& within) {
    return static_cast<double>(std::ranges::count(within, 1)) / static_cast<double>(within.size());
}

}  // namespace

PrecisionRecall precision_recall(const FeatureMatrix& generated, const FeatureMatrix& reference,
                                 std::int64_t k, const MetricProgress& progress, std::int64_t block) {
    if (k < 1) throw std::logic_error("precision and recall: no neighbours");
    require_features(generated, k + 1, "precision and recall");
    require_features(reference, k + 1, "precision and recall");
    require_same_width(generated.width, reference.width, "precision and recall");
    const Points x(generated), y(reference);
    const std::int64_t m = generated.rows(), n = reference.rows();
    const PairsOfTwoSets pairs = pairs_of_two_sets(m, n, block, progress);
    const auto radii_x = squared_radii(x, k, pairs.xx, pairs.progress_xx),
               radii_y = squared_radii(y, k, pairs.yy, pairs.progress_yy);
    std::vector<char> x_within(at(m)), y_within(at(n));
    std::mutex together;
    for_each_product_block(generated, reference, pairs.xy, pairs.progress_xy,
                           [&](const BlockPair& pair, double* distances) {
                               to_squared_distances(pair, distances, x, y);
                               std::vector<char> a_within(at(pair.rows_a)), b_within(at(pair.rows_b));
                               for (std::int64_t i = 0; i < pair.rows_a; ++i)
                                   for (std::int64_t j = 0; j < pair.rows_b; ++j) {
                                       const double distance = distances[i * pair.rows_b + j];
                                       if (distance <= radii_y[at(pair.first_b + j)]) a_within[at(i)] = 1;
                                       if (distance <= radii_x[at(pair.first_a + i)]) b_within[at(j)] = 1;
                                   }
                               {
                                   const std::lock_guard one(together);
                                   for (std::int64_t i = 0; i < pair.rows_a; ++i)
                                       x_within[at(pair.first_a + i)] |= a_within[at(i)];
                                   for (std::int64_t j = 0; j < pair.rows_b; ++j)
                                       y_within[at(pair.first_b + j)] |= b_within[at(j)];
                               }
                           });
    return {share_of(x_within), share_of(y_within)};
}
