#include "models/metrics/inception_score.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

namespace {

// exp(E_x KL(p(y|x) || p(y))) = exp(H(y) - E_x H(y|x)), of pictures first to last - 1.
double score_of(const FeatureMatrix& logits, std::int64_t first, std::int64_t last) {
    const auto classes = static_cast<std::size_t>(logits.width);
    const auto pictures = static_cast<double>(last - first);
    std::vector<double> marginal(classes), shifted(classes), p(classes);
    double negative_entropy = 0;
    for (std::int64_t i = first; i < last; ++i) {
        const float* row = logits.row(i);
        const auto largest = static_cast<double>(*std::max_element(row, row + classes));
        double sum = 0;
        for (std::size_t k = 0; k < classes; ++k) {
            shifted[k] = static_cast<double>(row[k]) - largest;
            p[k] = std::exp(shifted[k]);
            sum += p[k];
        }
        const double log_sum = std::log(sum);
        for (std::size_t k = 0; k < classes; ++k) {
            negative_entropy += p[k] / sum * (shifted[k] - log_sum) / pictures;
            marginal[k] += p[k] / sum / pictures;
        }
    }
    double divergence = negative_entropy;
    for (const double q : marginal)
        if (q > 0) divergence -= q * std::log(q);
    return std::exp(divergence);
}

}  // namespace

InceptionScore inception_score(const FeatureMatrix& logits, std::int64_t splits) {
    if (splits <= 0) throw std::logic_error("Inception score: no splits");
    require_features(logits, splits, "Inception score");
    const std::int64_t n = logits.rows();
    double sum = 0, squares = 0;
    std::vector<double> scores;
    for (std::int64_t i = 0; i < splits; ++i) {
        scores.push_back(score_of(logits, i * n / splits, (i + 1) * n / splits));
        sum += scores.back();
    }
    const auto count = static_cast<double>(splits);
    for (const double score : scores) squares += (score - sum / count) * (score - sum / count);
    return {sum / count, std::sqrt(squares / count)};
}
