// The quality of generated pictures against reference pictures: all figures of their features together.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "models/metrics/frechet.h"
#include "models/metrics/inception_score.h"
#include "models/metrics/kernel_distance.h"
#include "models/metrics/precision_recall.h"

// What generated pictures are compared with: features, or their moments alone, as published statistics are.
class QualityReference {
  public:
    // Throws Error for fewer than 2 rows.
    explicit QualityReference(FeatureMatrix features, const MetricProgress& progress = {});
    explicit QualityReference(Moments moments, FeatureMatrix features = {});

    const Moments& moments() const { return moments_; }
    // Without rows if only the moments are known.
    const FeatureMatrix& features() const { return features_; }
    bool has_features() const { return features_.rows() > 0; }
    std::int64_t width() const { return moments_.width(); }
    // Made at the first call: the square root of a covariance takes seconds.
    const FrechetReference& frechet() const;

  private:
    Moments moments_;
    FeatureMatrix features_;
    mutable std::unique_ptr<FrechetReference> frechet_;
};

struct Quality {
    double frechet = 0;  // FID or FD
    std::optional<FrechetExtrapolation> extrapolation;
    std::optional<KernelDistance> kernel;           // without features of the reference: none
    std::optional<PrecisionRecall> manifold;        // the same
    std::optional<InceptionScore> inception_score;  // without logits, or of fewer pictures than splits: none
};

// The parts of an evaluation, for a line of progress: what is computed, and the share of it that is done. May
// throw to end it.
using QualityProgress = std::function<void(std::string_view what, double share)>;

struct QualityRule {
    std::uint64_t seed = 0;  // of subsets
    bool extrapolates = false;
    bool manifold = true;  // precision and recall as well
};

// `logits`: of Inception, or without rows. Throws Error for fewer than 2 pictures, or features of another width.
Quality measure_quality(const FeatureMatrix& generated, const FeatureMatrix& logits,
                        const QualityReference& reference, const QualityRule& rule,
                        const QualityProgress& progress = {});

// Statistics of a reference in NumPy's .npz: mu [d] and sigma [d, d] in double, as published ones, and of our own
// files features [n, d] in float, count, and the network as `network` and `fingerprint` (OpenedFeatures).
struct StatisticsOrigin {
    std::string network, fingerprint;
};
void write_statistics(const std::filesystem::path& path, const QualityReference& reference,
                      const StatisticsOrigin& origin, bool with_features = true);
// Whether an .npz holds statistics rather than pictures.
bool holds_statistics(const std::filesystem::path& path);
// Throws Error naming the file: for other arrays, shapes that do not fit each other or `width`, numbers that are
// not finite; UsageError for statistics that say they are of another network than `fingerprint`.
QualityReference read_statistics(const std::filesystem::path& path, std::int64_t width,
                                 const std::string& fingerprint);
