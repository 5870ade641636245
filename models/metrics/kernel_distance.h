// Kernel distance of features: KID in features of Inception. The squared maximum mean discrepancy of
// generated pictures x [m, d] and reference pictures y [n, d] under the kernel k(x, y) = (x.y / d + 1)^3,
// estimated without bias over all pairs:
//
//     1/(m (m-1)) sum_{i != j} k(xi, xj) + 1/(n (n-1)) sum_{i != j} k(yi, yj) - 2/(m n) sum_{i, j} k(xi, yj).
//
// It may be negative. Unlike the Frechet distance its expectation does not depend on the number of samples.
//
// Sources: Binkowski, Sutherland, Arbel, Gretton, "Demystifying MMD GANs" (ICLR 2018, arXiv 1801.01401) for
// the kernel; Gretton, Borgwardt, Rasch, Schoelkopf, Smola, "A Kernel Two-Sample Test" (JMLR 2012), lemma 6,
// for the estimate.
#pragma once

#include <cstdint>

#include "models/metrics/feature_matrix.h"
#include "models/metrics/product_blocks.h"

constexpr std::int64_t kernel_distance_subsets = 100;

struct KernelDistance {
    double value = 0;           // over all pairs
    double standard_error = 0;  // deviation of the subsets' estimates / sqrt(100)
    std::int64_t subset_rows = 0;
};

// Rows of a subset: 1,000, a tenth of the smaller set if that is less, but 50 or all of it at least. Of a set of
// at most 50 rows every subset is all of it, and the standard error leaves its variation out.
std::int64_t kernel_distance_subset_rows(std::int64_t generated, std::int64_t reference);

// In double; about (m + n)^2 d operations, and the subsets, which `seed` draws without replacement, hardly
// any more: the same pass over the pairs sums the kernel over each subset. Holds one block of rows per
// thread and, for every row, 100 numbers. Throws Error for fewer than 2 samples, other widths or values
// that are not finite, and what `progress` throws.
KernelDistance kernel_distance(const FeatureMatrix& generated, const FeatureMatrix& reference,
                               std::uint64_t seed, const MetricProgress& progress = {},
                               std::int64_t block = product_block_rows);
