#include "models/metrics/moments.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "kernels/common/threads.h"
#include "models/metrics/linear_algebra.h"
#include "runtime/base/error.h"

namespace {

constexpr std::int64_t block_rows = 1024;  // held in double at a time
constexpr std::int64_t tile = 256;         // sides of the covariance's parts, each computed by one thread

std::size_t at(std::int64_t index) {
    return static_cast<std::size_t>(index);
}

std::vector<double> mean_of(const FeatureMatrix& features, std::span<const std::int32_t> rows) {
    std::vector<double> mean(at(features.width));
    for (const std::int32_t row : rows)
        for (std::int64_t j = 0; j < features.width; ++j)
            mean[at(j)] += static_cast<double>(features.row(row)[j]);
    for (double& value : mean) value /= static_cast<double>(rows.size());
    return mean;
}

// C += X^T X, tiles on and above the diagonal alone; X [rows, d].
void add_products(const std::vector<double>& X, std::int64_t rows, std::int64_t d, std::vector<double>& C) {
    const auto columns = [&](std::int64_t first) {
        return MatrixView{X.data() + first, rows, std::min(tile, d - first), d};
    };
    const std::int64_t tiles = blocks_of(d, tile);
    for_each_block(tiles * tiles, {}, [&](std::int64_t index) {
        const std::int64_t a = index / tiles * tile, b = index % tiles * tile;
        if (a <= b) add_transpose_product(columns(a), columns(b), C.data() + a * d + b, d);
    });
}

Moments moments_of(const FeatureMatrix& features, std::span<const std::int32_t> rows,
                   const MetricProgress& progress) {
    const auto count = static_cast<std::int64_t>(rows.size()), d = features.width;
    Moments result{mean_of(features, rows), std::vector<double>(at(d * d)), count};
    std::vector<double> centred(at(std::min(block_rows, count) * d));
    for (std::int64_t first = 0; first < count; first += block_rows) {
        const std::int64_t held = std::min(block_rows, count - first);
        cpu::share_each(held, [&](std::int64_t i) {
            const float* row = features.row(rows[at(first + i)]);
            for (std::int64_t j = 0; j < d; ++j)
                centred[at(i * d + j)] = static_cast<double>(row[j]) - result.mean[at(j)];
        });
        add_products(centred, held, d, result.covariance);
        if (progress) progress(static_cast<double>(first + held) / static_cast<double>(count));
    }
    for (std::int64_t i = 0; i < d; ++i)
        for (std::int64_t j = i; j < d; ++j) {
            double& value = result.covariance[at(i * d + j)];
            value /= static_cast<double>(count - 1);
            result.covariance[at(j * d + i)] = value;
        }
    return result;
}

}  // namespace

Moments moments(const FeatureMatrix& features, const MetricProgress& progress) {
    require_features(features, 2, "covariance");
    std::vector<std::int32_t> rows(at(features.rows()));
    std::iota(rows.begin(), rows.end(), 0);
    return moments_of(features, rows, progress);
}

Moments moments(const FeatureMatrix& features, std::span<const std::int32_t> rows,
                const MetricProgress& progress) {
    require_features(features, 2, "covariance");
    if (rows.size() < 2) fail("covariance: features of {} pictures, expected at least 2", rows.size());
    for (const std::int32_t row : rows)
        if (row < 0 || row >= features.rows()) throw std::logic_error("moments: no such row");
    return moments_of(features, rows, progress);
}
