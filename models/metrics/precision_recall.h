// Precision and recall of generated pictures: how many of them lie within the manifold of the reference,
// and how much of the reference within theirs. A manifold is the union of balls around its points, each
// with the distance to its k-th nearest neighbour, itself excluded, as radius; a point on the rim lies
// within (<=).
//
// Source: Kynkaanniemi, Karras, Laine, Lehtinen, Aila, "Improved Precision and Recall Metric for Assessing
// Generative Models" (NeurIPS 2019, arXiv 1904.06991), equations 1 and 2; k = 3 as there.
#pragma once

#include <cstdint>

#include "models/metrics/feature_matrix.h"
#include "models/metrics/product_blocks.h"

struct PrecisionRecall {
    double precision = 0, recall = 0;  // shares, 0 to 1
};

constexpr std::int64_t manifold_neighbours = 3;

// In double; about (m + n)^2 d operations for m generated and n reference pictures of d features. Holds one
// block of rows and of distances per thread. Throws Error for fewer than k + 1 samples, other widths or
// values that are not finite, std::logic_error for k < 1, and what `progress` throws.
PrecisionRecall precision_recall(const FeatureMatrix& generated, const FeatureMatrix& reference,
                                 std::int64_t k = manifold_neighbours, const MetricProgress& progress = {},
                                 std::int64_t block = product_block_rows);
