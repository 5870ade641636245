// The objective of a search for generation strategies: the quality of pictures that a strategy draws, as one
// number, the lower the better.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/metrics/picture_features.h"
#include "models/nat/generate.h"
#include "train/search/search_models.h"
#include "train/search/search_texts.h"

// Figures of a strategy's pictures; not a number where one was not measured.
struct Figures {
    double frechet = NAN, kernel = NAN, inception_score = NAN, precision = NAN, recall = NAN;
    double second_frechet = NAN;  // by the second network
};

// A weighted sum of figures.
struct ObjectiveTerms {
    double frechet = 0, kernel = 0, inception_score = 0, precision = 0, recall = 0;

    double of(const Figures& figures) const;
    // Precision and recall take as long as everything else together.
    bool needs_manifold() const { return precision != 0 || recall != 0; }
};
// Names with their weights, "fd", "kid", "-is", "fd,-10*recall": fd or fid, kid, is, precision, recall, each once,
// a sign and WEIGHT* before it (default 1). Throws UsageError, also for figures that the network or a reference of
// statistics alone does not give.
ObjectiveTerms parse_objective(std::string_view text, const Measure& measure, const Comm& comm);

struct ObjectiveRule {
    ObjectiveTerms terms;
    std::int64_t images = 1000;  // an evaluation draws
    bool rounded = false;        // to 8 bits; the release measures the decoder's output, clamped
    bool balanced = false;       // as many pictures of each class or text
};

// Classes (or texts) of pictures `first` to `first` + n - 1 of an evaluation, a function of the seed and the picture's
// number; -1 of a model without. Uniform and independent, as in the release, or balanced: every `classes` pictures
// are a permutation of all, so that the numbers of each class add no noise.
std::vector<std::int64_t> evaluation_classes(std::int64_t classes, bool balanced, std::uint64_t seed,
                                             std::int64_t first, std::int64_t n);

class StrategyObjective {
  public:
    // Pictures of `batch` at once. All must stay.
    StrategyObjective(const NatTransformer& transformer, const SearchModels& models, const SearchTexts& texts,
                      const ObjectiveRule& rule, std::int64_t batch, const Comm& comm);

    const ObjectiveRule& rule() const { return rule_; }
    // Strategies of `steps` steps side by side: a batch has a picture of each, memory their features.
    std::int64_t most_at_once(std::int64_t steps) const;
    // The rule's terms of pictures of strategies of equal length, drawn side by side as far as they fit: classes
    // or texts (evaluation_classes), as all noise, a function of the seed and the picture's number, so that
    // strategies under one seed see the same random numbers. Ranks share the pictures, and get the same numbers.
    // `progress` as that of features_of, over the pictures of all. Nothing if a stop was requested.
    std::optional<std::vector<double>> evaluate(std::span<const Strategy> strategies, std::uint64_t seed,
                                                const CountProgress& progress = {});
    // All their figures.
    std::optional<std::vector<Figures>> measure(std::span<const Strategy> strategies, std::uint64_t seed,
                                                const CountProgress& progress = {});

  private:
    // With or without precision and recall, and the second network.
    std::optional<std::vector<Figures>> measure(std::span<const Strategy> strategies, std::uint64_t seed,
                                                bool manifold, bool second, const CountProgress& progress);
    // The same of at most most_at_once() strategies. What `progress` throws ends it.
    std::vector<Figures> measure_together(std::span<const Strategy> strategies, std::uint64_t seed,
                                          bool manifold, bool second, const CountProgress& progress);
    // Pictures `first` to `first` + n - 1 of each strategy, into bytes_ or values_.
    void draw(std::span<const Strategy> strategies, std::int64_t first, std::int64_t n, std::uint64_t seed);

    const NatTransformer& transformer_;
    const SearchModels& models_;
    const std::int64_t classes_;  // or texts
    ObjectiveRule rule_;
    std::int64_t batch_;
    const Comm& comm_;
    std::vector<float> values_;
    std::vector<std::uint8_t> bytes_;
    std::unique_ptr<NatGenerator> generator_;
};
