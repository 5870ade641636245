#include "models/metrics/product_blocks.h"

#include <algorithm>
#include <memory>

#include "models/metrics/linear_algebra.h"

namespace {

using Doubles = std::unique_ptr<double[]>;

Doubles uninitialised(std::int64_t count) {
    return std::make_unique_for_overwrite<double[]>(static_cast<std::size_t>(count));
}

Doubles as_double(const FeatureMatrix& features, std::int64_t first, std::int64_t rows) {
    Doubles values = uninitialised(rows * features.width);
    std::copy_n(features.row(first), rows * features.width, values.get());
    return values;
}

std::vector<BlockPair> pairs_of(std::int64_t rows_a, std::int64_t rows_b, std::int64_t block,
                                bool with_itself) {
    std::vector<BlockPair> pairs;
    for (std::int64_t i = 0; i < blocks_of(rows_a, block); ++i)
        for (std::int64_t j = with_itself ? i : 0; j < blocks_of(rows_b, block); ++j) {
            const std::int64_t first_a = i * block, first_b = j * block;
            pairs.push_back({static_cast<std::int64_t>(pairs.size()), first_a,
                             std::min(block, rows_a - first_a), first_b, std::min(block, rows_b - first_b),
                             with_itself && i == j});
        }
    return pairs;
}

}  // namespace

std::vector<BlockPair> block_pairs(std::int64_t rows_a, std::int64_t rows_b, std::int64_t block) {
    return pairs_of(rows_a, rows_b, block, false);
}

std::vector<BlockPair> block_pairs(std::int64_t rows, std::int64_t block) {
    return pairs_of(rows, rows, block, true);
}

PairsOfTwoSets pairs_of_two_sets(std::int64_t rows_x, std::int64_t rows_y, std::int64_t block,
                                 const MetricProgress& progress) {
    PairsOfTwoSets pairs{block_pairs(rows_x, block),
                         block_pairs(rows_y, block),
                         block_pairs(rows_x, rows_y, block),
                         {},
                         {},
                         {}};
    const auto all = static_cast<double>(pairs.xx.size() + pairs.yy.size() + pairs.xy.size());
    const double after_xx = static_cast<double>(pairs.xx.size()) / all,
                 after_yy = after_xx + static_cast<double>(pairs.yy.size()) / all;
    pairs.progress_xx = part_of(progress, 0, after_xx);
    pairs.progress_yy = part_of(progress, after_xx, after_yy);
    pairs.progress_xy = part_of(progress, after_yy, 1);
    return pairs;
}

void for_each_product_block(const FeatureMatrix& A, const FeatureMatrix& B,
                            const std::vector<BlockPair>& pairs, const MetricProgress& progress,
                            const std::function<void(const BlockPair& pair, double* products)>& use) {
    for_each_block(static_cast<std::int64_t>(pairs.size()), progress, [&](std::int64_t index) {
        const BlockPair& pair = pairs[static_cast<std::size_t>(index)];
        const Doubles a = as_double(A, pair.first_a, pair.rows_a),
                      b = as_double(B, pair.first_b, pair.rows_b),
                      products = uninitialised(pair.rows_a * pair.rows_b);
        multiply_by_transpose({a.get(), pair.rows_a, A.width, A.width},
                              {b.get(), pair.rows_b, B.width, B.width}, products.get(), pair.rows_b);
        use(pair, products.get());
    });
}
