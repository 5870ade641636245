// All inner products between the rows of two feature matrices, in blocks: of n x n products no more is held
// at a time than one block per thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "models/metrics/feature_matrix.h"
#include "models/metrics/parallel_blocks.h"

// Rows per block: products of [512, 2048] by [2048, 512] run at BLAS's full speed, and Inception's features
// of a block, in double, take 8 MiB.
constexpr std::int64_t product_block_rows = 512;

// Rows first_a.. of a matrix A and rows first_b.. of B.
struct BlockPair {
    std::int64_t index = 0;  // among all pairs
    std::int64_t first_a = 0, rows_a = 0, first_b = 0, rows_b = 0;
    bool on_diagonal = false;  // the same rows of the same matrix
};

// Every row of A with every row of B.
std::vector<BlockPair> block_pairs(std::int64_t rows_a, std::int64_t rows_b, std::int64_t block);
// The rows of one matrix with each other: blocks on and above the diagonal, the others are their
// transposes.
std::vector<BlockPair> block_pairs(std::int64_t rows, std::int64_t block);

// The pairs within and between two sets of rows, x and y, and the part of the progress of each.
struct PairsOfTwoSets {
    std::vector<BlockPair> xx, yy, xy;
    MetricProgress progress_xx, progress_yy, progress_xy;
};
// Holds a reference to `progress`.
PairsOfTwoSets pairs_of_two_sets(std::int64_t rows_x, std::int64_t rows_y, std::int64_t block,
                                 const MetricProgress& progress);

// Computes the inner products [rows_a, rows_b] of each pair in double and calls `use`, which may overwrite
// them, on several threads and in any order. Throws what `use` and `progress` throw.
void for_each_product_block(const FeatureMatrix& A, const FeatureMatrix& B,
                            const std::vector<BlockPair>& pairs, const MetricProgress& progress,
                            const std::function<void(const BlockPair& pair, double* products)>& use);
