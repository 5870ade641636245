// Simultaneous perturbation stochastic approximation: gradient descent on differences along random
// directions, two evaluations an update for any number of coordinates.
//
// In units of the scales s_i (x_i = s_i z_i), with Delta_i = +1 or -1, each with probability 1/2, and
// Philox keyed by (seed, update, pair, coordinate):
//   z+- = z +- c_k Delta, into the bounds;      g_i = (F(z+) - F(z-)) / (z+_i - z-_i), after clamping
//   z_i -= a_k g_i, at most `largest_move`;     into the bounds
//   a_k = a / (k + 1 + A)^0.602,                c_k = c / (k + 1)^0.101
// g is the mean over `pairs` directions.
//
// Defaults:
//   c = 1: the first probes are one scale away, 0.05 in a ratio and 0.3 in the rest.
//   A = 10: a tenth of the expected updates (Spall 1998), of which AutoNAT does 100.
//   a = 0, automatic: such that the length of the gradient, which the mean over the first update's directions
//     of |F(z+) - F(z-)| / 2c estimates, would move each coordinate by `first_move`, half a scale. For a
//     quadratic at distance d the longest stable move is about d / sqrt(n) in n coordinates; twice the
//     default makes the first updates bounce on quadratics. One difference may be near 0 by
//     chance, so the first update averages `calibration_pairs`, 10, and its gradient gains from them too.
//   largest_move = 1: no single draw moves a coordinate beyond what the probes have seen.
//   iterate_every = 10: F of the iterate is no part of the method; it says what has been reached.
// The exponents are Spall's, the smallest that the theory allows (Spall 1998).
//
// Cost: two evaluations an update for each pair, 20 of the first, and one every `iterate_every` updates.
//
// Phases: stp_K, spsa_I_plus_stp_K and spsa_I_minus_stp_K for direction I.
//
// Source: Spall, "Multivariate stochastic approximation using a simultaneous perturbation gradient
// approximation" (IEEE Trans. Automatic Control 37, 1992), section II; gains: Spall,
// "Implementation of the simultaneous perturbation algorithm for stochastic optimization" (IEEE Trans.
// Aerospace and Electronic Systems 34, 1998).
#pragma once

#include "models/nat/search/search_method.h"
#include "runtime/tensor/random.h"

struct SpsaSettings {
    std::uint64_t seed = 0;
    SearchScales scales;
    std::int64_t pairs = 1;
    double a = 0, A = 10, c = 1;
    double first_move = 0.5, largest_move = 1;  // scales
    std::int64_t calibration_pairs = 10;
    std::int64_t iterate_every = 10;
};

class Spsa : public SearchMethod {
  public:
    // The start is put into the bounds. Throws UsageError for a strategy of other steps than the space's and
    // settings that are not positive (a and A: not negative).
    Spsa(SearchSpace space, const Strategy& start, std::int64_t updates, const SpsaSettings& settings = {});

    std::string_view name() const override { return "spsa"; }
    // a_k times the squares of the scales: what multiplies g in units of x. None before a is calibrated.
    std::optional<LearningRates> learning_rates() const override;

  private:
    std::int64_t pairs() const;  // of this update
    double scale(std::size_t coordinate) const { return settings_.scales.of(space(), coordinate); }
    double gain(double a) const;  // a_k
    double width() const;         // c_k
    // z+ for sign 1, z- for -1, in units of x.
    std::vector<double> probe(std::int64_t pair, double sign) const;
    std::vector<SearchPoint> probes() const override;
    // Throws Error if a is to be calibrated and no difference shows.
    void advance(std::span<const double> objectives) override;
    NumberLists settings() const override;
    NumberLists variables() const override { return {{"a", {a_}}}; }
    void set_variables(const NumberLists& lists) override { a_ = lists.at("a").front(); }

    SpsaSettings settings_;
    PhiloxKey key_;
    double a_;  // 0 before it is calibrated
};
