// The quality of a model's pictures along its run: at every evaluation the Frechet and the kernel distance of
// pictures that it draws from a reference (models/metrics/quality.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/metrics/picture_features.h"
#include "models/metrics/quality.h"

class CommandLine;

// The reference of --quality-reference, or a search's: pictures of this size, or their statistics. Throws Error,
// UsageError.
QualityReference read_reference(const std::string& path, const OpenedFeatures& features, MapSize size);

struct QualityFlags {
    std::string features, reference, best_by = "validation";
    std::int64_t images = 1000;

    bool given() const { return !features.empty(); }
    // Throws UsageError if one flag is given without those that it needs.
    void check() const;
};
void add_quality_flags(CommandLine& app, QualityFlags& flags);

class RunQuality {
  public:
    // Loads the feature network and measures the reference. Pictures [channels, size, size] of the model fit the
    // network. On a rank that draws none, it only knows the columns. Throws Error, UsageError.
    RunQuality(const QualityFlags& flags, std::int64_t channels, std::int64_t size, Backend backend,
               const Comm& comm);

    // Of log.csv: validation_fid or validation_fd, validation_kid.
    std::vector<std::string> columns() const;
    // The column that --best-by names; none: the model's own measure.
    std::optional<std::string> best_column() const;

    // In the order of columns(); not a number where the reference has no features. `draw` as PictureSet::read.
    std::vector<double> measure(
        const std::function<std::vector<std::uint8_t>(std::int64_t first, std::int64_t n)>& draw) const;
    // The same as words of a line: "  FD 12.3  KID 0.0123".
    std::string words(const std::vector<double>& values) const;

    std::int64_t batch() const { return batch_; }

  private:
    std::int64_t images_, batch_, channels_, size_;
    std::string best_by_;
    OpenedFeatures features_;
    std::optional<QualityReference> reference_;
};
