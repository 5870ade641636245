// The objective of a search for generation strategies: the quality of pictures that a strategy draws, as one
// number, the lower the better.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/metrics/picture_features.h"
#include "models/metrics/quality.h"
#include "models/nat/generate.h"
#include "models/nat/tokenizer.h"
#include "runtime/ranks/comm.h"

// A weighted sum of figures.
struct ObjectiveTerms {
    double frechet = 0, kernel = 0, inception_score = 0, precision = 0, recall = 0;

    double of(const Quality& quality) const;
    // Precision and recall take as long as everything else together.
    bool needs_manifold() const { return precision != 0 || recall != 0; }
};
// Names with their weights, "fd", "kid", "-is", "fd,-10*recall": fd or fid, kid, is, precision, recall, each once,
// a sign and WEIGHT* before it (default 1). Throws UsageError, also for figures that the network does not give.
ObjectiveTerms parse_objective(std::string_view text, const OpenedFeatures& features);

struct ObjectiveRule {
    ObjectiveTerms terms;
    std::int64_t images = 1000;  // an evaluation draws
    bool rounded = false;        // to 8 bits; the release measures the decoder's output, clamped
};

class StrategyObjective {
  public:
    // Pictures of `batch` at once. All must stay. On ranks above 0 the reference may be empty.
    StrategyObjective(const NatTransformer& transformer, const Tokenizer& tokenizer,
                      const OpenedFeatures& features, const QualityReference& reference,
                      const ObjectiveRule& rule, std::int64_t batch, const Comm& comm);

    const ObjectiveRule& rule() const { return rule_; }
    // Pictures of one strategy: classes uniform and independent, as all noise a function of the seed and the
    // picture's number, so that strategies under one seed see the same random numbers. Ranks share the pictures.
    // `progress` as that of features_of. On ranks above 0 empty.
    Quality measure(const Strategy& strategy, std::uint64_t seed, bool manifold,
                    const CountProgress& progress = {});
    // The rule's terms of it, the same number on every rank.
    double evaluate(const Strategy& strategy, std::uint64_t seed, const CountProgress& progress = {});
    // Pictures drawn so far, by all ranks.
    std::int64_t drawn() const { return drawn_; }

  private:
    std::vector<std::int64_t> classes_of(std::int64_t first, std::int64_t n, std::uint64_t seed) const;

    const NatTransformer& transformer_;
    const Tokenizer& tokenizer_;
    const OpenedFeatures& features_;
    const QualityReference& reference_;
    ObjectiveRule rule_;
    std::int64_t batch_, drawn_ = 0;
    const Comm& comm_;
    std::vector<float> values_;
    std::vector<std::uint8_t> bytes_;
    std::unique_ptr<NatGenerator> generator_;
};
