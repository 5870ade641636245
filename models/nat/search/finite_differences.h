// AutoNAT's search exactly as released: gradient descent on forward differences, with momentum.
//
// Of the iterate x after k updates, for each searched coordinate i:
//   x'  = x with x_i + 0.01, clamped to [0, 1], for a ratio; x_i + 0.1, at least 1e-4, for the rest
//   g_i = (F(x') - F(x)) / (x'_i - x_i), the difference after clamping; optionally clamped to [-c, c]
//   v   = g at the first update, else 0.5 v + g
//   x  -= learning rate * v, 1e-3 for ratios and 0.1 for the rest; then into the bounds of search_space.h.
// F(x) is evaluated once. In the release F(x) of the next x ends an update; here it begins the next one, in
// which the points x' follow: the same points in the same order, and one batch of evaluations an update.
//
// Cost: 1 + (coordinates) evaluations an update, 4T - 1 for all four schedules, and a last F(x).
// Noise: a difference over 0.01 multiplies the noise of F by 100 * sqrt(2), one over 0.1 by 10 * sqrt(2).
//
// Phases: stp_K, and grad_est_I_stp_K for coordinate I of x.
//
// Source: Ni et al. (CVPR 2024, arXiv 2406.05478), section 4.2; ImprovedNAT, `train.py`, `DisPatcher`, whose
// values the defaults are.
#pragma once

#include "models/nat/search/search_method.h"

struct FiniteDifferenceSettings {
    double ratio_step = 0.01, step = 0.1;
    LearningRates learning_rates{1e-3, 0.1};
    double momentum = 0.5;
    std::optional<double> gradient_clamp;  // c
};

class FiniteDifferences : public SearchMethod {
  public:
    // Throws UsageError for a strategy of other steps than the space's, steps, rates or a clamp that are not
    // positive, a momentum outside [0, 1).
    FiniteDifferences(SearchSpace space, const Strategy& start, std::int64_t updates,
                      const FiniteDifferenceSettings& settings = {});

    std::string_view name() const override { return "finite_differences"; }
    std::optional<LearningRates> learning_rates() const override { return settings_.learning_rates; }

  private:
    double probe(std::size_t coordinate) const;  // x'_i
    std::vector<SearchPoint> probes() const override;
    void advance(std::span<const double> objectives) override;
    NumberLists settings() const override;
    NumberLists variables() const override { return {{"velocity", velocity_}}; }
    void set_variables(const NumberLists& lists) override { velocity_ = lists.at("velocity"); }

    FiniteDifferenceSettings settings_;
    std::vector<double> velocity_;  // v, [4T - 2]
};
