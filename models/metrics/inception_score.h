// Inception score: how surely single pictures are classified, and how evenly all of them together.
#pragma once

#include <cstdint>

#include "models/metrics/feature_matrix.h"

struct InceptionScore {
    double mean = 0, deviation = 0;  // over splits; the deviation divides by their number
};

// exp of the mean Kullback-Leibler divergence between p(y|x), the softmax of a picture's logits, and p(y),
// its mean over the split: between 1 and the number of classes. `logits` [n, classes]; split i holds
// pictures i n / splits to (i + 1) n / splits. In double. Throws Error for fewer pictures than splits or
// values that are not finite.
// Source: Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, "Improved Techniques for Training GANs"
// (NeurIPS 2016, arXiv 1606.03498), section 4.
InceptionScore inception_score(const FeatureMatrix& logits, std::int64_t splits = 10);
