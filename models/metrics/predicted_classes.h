// Which class a feature network takes each picture for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/metrics/feature_classifier.h"

class ClassJudge {
  public:
    // Up to `batch` pictures at once; the network must stay. Throws UsageError, starting with `source`, for pictures
    // that it does not take.
    ClassJudge(const FeatureClassifier& network, std::int64_t batch, std::int64_t channels, MapSize size,
               std::string_view source);

    // Pictures [n, channels, height, width], at most a batch -> the class of the largest logit of each, [n].
    std::vector<std::int64_t> classes(std::span<const std::uint8_t> pictures);

  private:
    void run(std::span<const std::uint8_t> pictures, std::int64_t count, float* logits);

    const FeatureClassifier& network_;
    std::int64_t values_;  // of a picture
    Tape tape_;
    Plan plan_;
};
