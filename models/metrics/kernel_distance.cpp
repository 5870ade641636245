#include "models/metrics/kernel_distance.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include "models/metrics/linear_algebra.h"
#include "runtime/tensor/random.h"

namespace {

constexpr auto subsets = static_cast<std::size_t>(kernel_distance_subsets);

std::size_t at(std::int64_t index) {
    return static_cast<std::size_t>(index);
}

// [subsets, rows]: 1 for the members of each subset.
std::vector<double> draw_subsets(std::int64_t rows, std::int64_t members, std::uint64_t seed,
                                 std::string_view purpose) {
    const PhiloxKey key = random_key(seed, purpose);
    std::vector<std::int32_t> order(at(rows));
    std::vector<double> indicators(subsets * at(rows));
    for (std::size_t subset = 0; subset < subsets; ++subset) {
        random_order(order, key, static_cast<std::int64_t>(subset), 0);
        for (std::int64_t i = 0; i < members; ++i) indicators[subset * at(rows) + at(order[at(i)])] = 1;
    }
    return indicators;
}

// Sums of the kernel over pairs of different rows: of all of them, and of those within each subset.
struct KernelSums {
    double all = 0;
    std::array<double, subsets> of_subset{};

    void add(const KernelSums& other, double times) {
        all += times * other.all;
        for (std::size_t i = 0; i < subsets; ++i) of_subset[i] += times * other.of_subset[i];
    }
};

struct Side {
    const FeatureMatrix& features;
    std::vector<double> indicators;

    MatrixView members(std::int64_t first, std::int64_t rows) const {
        return {indicators.data() + first, kernel_distance_subsets, rows, features.rows()};
    }
};

// Overwrites the products.
KernelSums block_sums(const BlockPair& pair, double* products, const Side& a, const Side& b) {
    const auto d = static_cast<double>(a.features.width);
    KernelSums sums;
    for (std::int64_t i = 0; i < pair.rows_a; ++i) {
        double* row = products + i * pair.rows_b;
        for (std::int64_t j = 0; j < pair.rows_b; ++j) {
            const double base = row[j] / d + 1;
            row[j] = base * base * base;
        }
        if (pair.on_diagonal) row[i] = 0;
        for (std::int64_t j = 0; j < pair.rows_b; ++j) sums.all += row[j];
    }
    // u^T K v with the indicators u, v of a subset's rows: K v for all subsets at once, then its products
    // with u.
    const MatrixView u = a.members(pair.first_a, pair.rows_a), v = b.members(pair.first_b, pair.rows_b);
    std::vector<double> Kv(at(pair.rows_a) * subsets);
    multiply_by_transpose({products, pair.rows_a, pair.rows_b, pair.rows_b}, v, Kv.data(),
                          kernel_distance_subsets);
    for (std::size_t subset = 0; subset < subsets; ++subset)
        for (std::int64_t i = 0; i < pair.rows_a; ++i)
            sums.of_subset[subset] +=
                u.values[static_cast<std::int64_t>(subset) * u.stride + i] * Kv[at(i) * subsets + subset];
    return sums;
}

// Added in the order of the pairs, whichever thread computed them.
KernelSums kernel_sums(const Side& a, const Side& b, const std::vector<BlockPair>& pairs, bool with_itself,
                       const MetricProgress& progress) {
    std::vector<KernelSums> blocks(pairs.size());
    for_each_product_block(a.features, b.features, pairs, progress,
                           [&](const BlockPair& pair, double* products) {
                               blocks[at(pair.index)] = block_sums(pair, products, a, b);
                           });
    KernelSums total;
    for (const BlockPair& pair : pairs)
        total.add(blocks[at(pair.index)], with_itself && !pair.on_diagonal ? 2 : 1);
    return total;
}

double estimate(double xx, double yy, double xy, std::int64_t rows_x, std::int64_t rows_y) {
    const auto m = static_cast<double>(rows_x), n = static_cast<double>(rows_y);
    return xx / (m * (m - 1)) + yy / (n * (n - 1)) - 2 * xy / (m * n);
}

// Of a mean of these numbers.
double standard_error(const std::array<double, subsets>& values) {
    const auto n = static_cast<double>(subsets);
    double mean = 0, squares = 0;
    for (const double value : values) mean += value / n;
    for (const double value : values) squares += (value - mean) * (value - mean);
    return std::sqrt(squares / (n - 1) / n);
}

}  // namespace

std::int64_t kernel_distance_subset_rows(std::int64_t generated, std::int64_t reference) {
    const std::int64_t smaller = std::min(generated, reference);
    return std::min({std::int64_t{1000}, std::max(std::int64_t{50}, smaller / 10), smaller});
}

KernelDistance kernel_distance(const FeatureMatrix& generated, const FeatureMatrix& reference,
                               std::uint64_t seed, const MetricProgress& progress, std::int64_t block) {
    require_features(generated, 2, "kernel distance");
    require_features(reference, 2, "kernel distance");
    require_same_width(generated.width, reference.width, "kernel distance");
    const std::int64_t m = generated.rows(), n = reference.rows(),
                       members = kernel_distance_subset_rows(m, n);
    const Side x{generated, draw_subsets(m, members, seed, "kernel distance/generated")},
        y{reference, draw_subsets(n, members, seed, "kernel distance/reference")};
    const PairsOfTwoSets pairs = pairs_of_two_sets(m, n, block, progress);
    const KernelSums xx = kernel_sums(x, x, pairs.xx, true, pairs.progress_xx),
                     yy = kernel_sums(y, y, pairs.yy, true, pairs.progress_yy),
                     xy = kernel_sums(x, y, pairs.xy, false, pairs.progress_xy);
    std::array<double, subsets> estimates{};
    for (std::size_t i = 0; i < subsets; ++i)
        estimates[i] = estimate(xx.of_subset[i], yy.of_subset[i], xy.of_subset[i], members, members);
    return {estimate(xx.all, yy.all, xy.all, m, n), standard_error(estimates), members};
}
