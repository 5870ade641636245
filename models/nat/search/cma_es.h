// CMA-ES: points are drawn from a normal distribution whose mean, covariance and size follow the better half
// of them. Only the order of the objectives counts.
//
// In units of the scales s_i (x_i = s_i z_i), over the n searched coordinates, each update (generation):
//   y_j = C^(1/2) n_j, n_j ~ N(0, I), z_j = m + sigma y_j, j = 1..lambda            (38)-(40)
//   <y> = sum of w_j y_j over the mu best, m += sigma <y>                           (41), (42)
//   p_sigma = (1 - c_sigma) p_sigma + sqrt(c_sigma (2 - c_sigma) mu_eff) C^(-1/2) <y>          (43)
//   sigma *= exp(c_sigma / d_sigma (|p_sigma| / E|N(0, I)| - 1))                    (44)
//   p_c = (1 - c_c) p_c + h sqrt(c_c (2 - c_c) mu_eff) <y>                          (45)
//   C = (1 - c_1 - c_mu + (1 - h) c_1 c_c (2 - c_c)) C + c_1 p_c p_c' + c_mu sum of w_j y_j y_j'       (47)
// C^(1/2) is the symmetric root, so C^(-1/2) <y> is <n>, and no inverse is formed. Random numbers are Philox
// keyed by (seed, update, point, coordinate).
//
// Weights w_j = ln((lambda + 1) / 2) - ln j of the better half, normalised to sum 1; rates and their defaults
// as in table 1, (48)-(58). Its negative weights, (46) and (53), are left out, for simplicity.
//
// Bounds: the search runs in unbounded z, and each coordinate is folded into its bounds by a smooth map (that
// of pycma's BoundTransform): the identity from one scale a inside a bound l on, x = l + (z - l + a)^2 / 4a
// from there to z = l - a, where it reflects. So an optimum on a bound, where F falls linearly towards it, is
// an ordinary quadratic minimum in z, and no penalty is to be weighed. Projection with a penalty makes it a
// kink there, and sigma shrank on the kinks before flatter coordinates had arrived. Drawing anew until a
// point lies inside needs 2^k draws with k coordinates at a bound, and three of the released 8-step
// strategy's are.
//
// Defaults: lambda = 4 + floor(3 ln n) (14 for n = 30), sigma = 1: first deviations of 0.05 for ratios, 0.3
// for the rest. iterate_every = 1: F of the mean, the least noisy account of what has been reached, is one in
// lambda + 1 evaluations.
//
// Cost: lambda + 1 evaluations an update. Results are the same bits for any number of threads; BLAS differs
// in the last bits between kinds of processors.
//
// Phases: stp_K of the mean; sample_J_stp_K of point J.
//
// Source: Hansen, "The CMA evolution strategy: a tutorial" (arXiv 1604.00772), appendix A.
#pragma once

#include "models/nat/search/search_method.h"
#include "runtime/tensor/random.h"

struct CmaSettings {
    std::uint64_t seed = 0;
    SearchScales scales;
    double sigma = 1;
    std::int64_t population = 0;  // lambda; 0: 4 + floor(3 ln n)
    std::int64_t iterate_every = 1;
};

class CmaEs : public SearchMethod {
  public:
    // The start is put into the bounds. Throws UsageError for a strategy of other steps than the space's,
    // scales or a sigma that are not positive, a scale of ratios above 0.4, which leaves nothing between the
    // margins, a population below 4 that is not 0.
    CmaEs(SearchSpace space, const Strategy& start, std::int64_t updates, const CmaSettings& settings = {});

    std::string_view name() const override { return "cma_es"; }
    std::int64_t population() const { return static_cast<std::int64_t>(population_); }
    double sigma() const { return sigma_; }

  private:
    struct Sample {
        std::vector<double> normal, y;  // n_j, C^(1/2) n_j, [n]
    };
    std::vector<Sample> samples() const;
    void take_root();
    double scale(std::size_t n) const { return settings_.scales.of(space(), space().searched()[n]); }
    // m + sigma y as x, [4T - 2].
    std::vector<double> bounded(std::span<const double> z) const;

    std::vector<SearchPoint> probes() const override;
    void advance(std::span<const double> objectives) override;
    NumberLists settings() const override;
    NumberLists variables() const override;
    void set_variables(const NumberLists& lists) override;

    CmaSettings settings_;
    PhiloxKey key_;
    std::size_t n_, population_;
    std::vector<double> weights_;  // of the better half
    double mu_eff_;
    // m, C [n, n] and the paths, in units of the scales.
    std::vector<double> mean_, covariance_, sigma_path_, covariance_path_;
    double sigma_;
    std::vector<double> root_;  // C^(1/2) [n, n], which follows from C
};
