#include "models/metrics/quality.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/files/npz.h"

QualityReference::QualityReference(FeatureMatrix features, const MetricProgress& progress)
    : moments_(::moments(features, progress)), features_(std::move(features)) {}

QualityReference::QualityReference(Moments moments, FeatureMatrix features)
    : moments_(std::move(moments)), features_(std::move(features)) {}

const FrechetReference& QualityReference::frechet() const {
    if (!frechet_) frechet_ = std::make_unique<FrechetReference>(moments_);
    return *frechet_;
}

Quality measure_quality(const FeatureMatrix& generated, const FeatureMatrix& logits,
                        const QualityReference& reference, const QualityRule& rule,
                        const QualityProgress& progress) {
    const auto part = [&](std::string_view what) -> MetricProgress {
        if (!progress) return {};
        progress(what, 0);
        return [&progress, what](double share) { progress(what, share); };
    };
    constexpr std::int64_t splits = 10;
    Quality quality;
    quality.frechet = reference.frechet().distance(moments(generated, part("Frechet distance")));
    if (rule.extrapolates)
        quality.extrapolation =
            extrapolate(reference.frechet(), generated, rule.seed, part("Frechet distances of subsets"));
    if (reference.has_features()) {
        quality.kernel = kernel_distance(generated, reference.features(), rule.seed, part("kernel distance"));
        constexpr std::int64_t least = manifold_neighbours + 1;
        if (rule.manifold && std::min(generated.rows(), reference.features().rows()) >= least)
            quality.manifold = precision_recall(generated, reference.features(), manifold_neighbours,
                                                part("precision and recall"));
    }
    if (logits.rows() >= splits) quality.inception_score = inception_score(logits, splits);
    return quality;
}

// ---- statistics files -------------------------------------------------------------------------------------

namespace {

constexpr const char *mean_key = "mu", *covariance_key = "sigma", *features_key = "features",
                     *count_key = "count", *network_key = "network", *fingerprint_key = "fingerprint";

void require_shape(const NpzFile& file, const char* key, const std::vector<std::int64_t>& expected) {
    const std::vector<std::int64_t>& shape = file.description(key).shape;
    if (shape != expected)
        fail("{}: array {} has shape {}, expected {}", file.path().string(), key, shape_text(shape),
             shape_text(expected));
}

template <class Values>
void require_finite(const NpzFile& file, const char* key, const Values& values) {
    for (const auto value : values)
        if (!std::isfinite(value))
            fail("{}: array {} holds {}, expected finite numbers", file.path().string(), key, value);
}

}  // namespace

void write_statistics(const std::filesystem::path& path, const QualityReference& reference,
                      const StatisticsOrigin& origin, bool with_features) {
    const Moments& moments = reference.moments();
    const std::int64_t d = moments.width();
    const double count = static_cast<double>(moments.count);
    NpzWriter writer(path);
    writer.add(mean_key, {d}, moments.mean);
    writer.add(covariance_key, {d, d}, moments.covariance);
    writer.add(count_key, {}, std::span(&count, 1));
    if (with_features && reference.has_features())
        writer.add(features_key, {reference.features().rows(), d}, reference.features().values);
    writer.add_text(network_key, origin.network);
    writer.add_text(fingerprint_key, origin.fingerprint);
    writer.commit();
}

bool holds_statistics(const std::filesystem::path& path) {
    const NpzFile file(path);
    return file.contains(mean_key) && file.contains(covariance_key);
}

QualityReference read_statistics(const std::filesystem::path& path, std::int64_t width,
                                 const std::string& fingerprint) {
    const NpzFile file(path);
    if (file.contains(fingerprint_key)) {
        const std::string found = file.text(fingerprint_key);
        if (found != fingerprint)
            fail_usage("{}: statistics of another network's features ({}; --features is {})", path.string(),
                       found, fingerprint);
    }
    const std::vector<std::int64_t>& shape = file.description(mean_key).shape;
    if (shape.size() != 1 || shape[0] != width)
        fail("{}: array {} has shape {}, expected {}, the features of the network", path.string(), mean_key,
             shape_text(shape), shape_text({width}));
    require_shape(file, covariance_key, {width, width});
    Moments moments{file.doubles(mean_key), file.doubles(covariance_key), 0};
    require_finite(file, mean_key, moments.mean);
    require_finite(file, covariance_key, moments.covariance);
    FeatureMatrix features{width, {}};
    if (file.contains(features_key)) {
        const std::vector<std::int64_t>& rows = file.description(features_key).shape;
        if (rows.size() != 2 || rows[1] != width)
            fail("{}: array {} has shape {}, expected (N, {})", path.string(), features_key, shape_text(rows),
                 width);
        features.values = file.floats(features_key);
        require_finite(file, features_key, features.values);
    }
    if (file.contains(count_key)) {
        require_shape(file, count_key, {});
        moments.count = static_cast<std::int64_t>(file.doubles(count_key).front());
    }
    return QualityReference(std::move(moments), std::move(features));
}
