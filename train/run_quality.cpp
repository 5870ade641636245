#include "train/run_quality.h"

#include <algorithm>
#include <cmath>

#include "data/records/picture_source.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"

namespace {

constexpr std::int64_t batch_size = 32;

}  // namespace

QualityReference read_reference(const std::string& path, const OpenedFeatures& features, MapSize size) {
    const FeatureNetwork& network = *features.network;
    if (path.ends_with(".npz") && holds_statistics(path))
        return read_statistics(path, network.feature_width(), features.fingerprint());
    const auto source = open_pictures(path);
    if (MapSize{source->height(), source->width()} != size)
        fail_usage("{}: pictures of {}x{}, the model draws {}x{}", path, source->width(), source->height(),
                   size.width, size.height);
    PictureFeatures measured =
        features_of({source->name(),
                     source->count(),
                     source->channels(),
                     {source->height(), source->width()},
                     [&](std::int64_t first, std::int64_t n) { return source->read(first, n); }},
                    features, batch_size);
    return QualityReference(std::move(measured.features));
}

void QualityFlags::check() const {
    if (features.empty() != reference.empty())
        fail_usage("{}: expected --quality-features and --quality-reference together",
                   features.empty() ? "--quality-reference" : "--quality-features");
    if (best_by != "validation" && features.empty())
        fail_usage("--best-by {}: needs --quality-features and --quality-reference", best_by);
}

void add_quality_flags(CommandLine& app, QualityFlags& flags) {
    app.add_option(
           "--quality-features", flags.features,
           "Feature network (build/train features, or Inception-v3's weights): evaluations measure the "
           "quality of drawn pictures")
        ->type_name("FILE");
    app.add_option("--quality-reference", flags.reference,
                   "Pictures that they are compared with: a folder, a packed file, an .npz of pictures or of "
                   "statistics")
        ->type_name("PATH");
    app.add_option("--quality-images", flags.images, "How many are drawn for it, by the sheet's settings")
        ->capture_default_str()
        ->check(within(2, 1'000'000));
    app.add_option(
           "--best-by", flags.best_by,
           "What the best checkpoint is best by: validation, the model's own measure of held-out data; "
           "frechet or kernel, the distances of --quality-features")
        ->type_name("NAME")
        ->capture_default_str()
        ->check(one_of({"validation", "frechet", "kernel"}));
}

RunQuality::RunQuality(const QualityFlags& flags, std::int64_t channels, std::int64_t size, Backend backend,
                       const Comm& comm)
    : images_(flags.images),
      batch_(std::min(flags.images, batch_size)),
      channels_(channels),
      size_(size),
      best_by_(flags.best_by),
      features_(open_features(flags.features, "", backend)) {
    features_.network->require_fitting(channels, {size, size}, "--quality-features: the model");
    if (comm.rank() == 0) reference_.emplace(read_reference(flags.reference, features_, {size, size}));
    if (comm.rank() == 0 && best_by_ == "kernel" && !reference_->has_features())
        fail_usage("--best-by kernel: {} holds statistics without features", flags.reference);
}

std::vector<std::string> RunQuality::columns() const {
    return {fmt::format("validation_{}", features_.distance_key()), "validation_kid"};
}

std::optional<std::string> RunQuality::best_column() const {
    if (best_by_ == "validation") return std::nullopt;
    return columns()[best_by_ == "kernel" ? 1 : 0];
}

std::vector<double> RunQuality::measure(
    const std::function<std::vector<std::uint8_t>(std::int64_t first, std::int64_t n)>& draw) const {
    const PictureFeatures drawn =
        features_of({"the model", images_, channels_, {size_, size_}, draw}, features_, batch_);
    const Quality quality = measure_quality(drawn.features, {}, *reference_, {.seed = 0, .manifold = false});
    return {quality.frechet, quality.kernel ? quality.kernel->value : std::nan("")};
}

std::string RunQuality::words(const std::vector<double>& values) const {
    std::string text = fmt::format("  {} {:.4g}", features_.distance_name(), values[0]);
    if (!std::isnan(values[1])) text += fmt::format("  KID {:.4g}", values[1]);
    return text;
}
