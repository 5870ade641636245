// Frechet distance of features: FID in features of Inception, FD in others. The distance between the normal
// distributions that are fitted to generated and reference pictures,
//
//     |m1 - m2|^2 + tr S1 + tr S2 - 2 tr((S1 S2)^(1/2)).
//
// The last trace is computed as the sum of the square roots of the eigenvalues of S1^(1/2) S2 S1^(1/2),
// which is symmetric, so that no complex rounding occurs and singular covariances (fewer samples than
// features) are no special case. Rounding leaves about 1e-16 of the largest eigenvalue in place of
// eigenvalues that are 0, and about 1e-8 of its root; so only as many of the largest are summed as the rank
// can be: one less than the samples.
//
// Sources: Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, "GANs Trained by a Two Time-Scale Update
// Rule Converge to a Local Nash Equilibrium" (NeurIPS 2017), equation 6; Dowson, Landau, "The Frechet
// distance between multivariate normal distributions" (1982).
#pragma once

#include <cstdint>
#include <vector>

#include "models/metrics/moments.h"

// The reference's part of the work, done once: its covariance's square root.
class FrechetReference {
  public:
    // Throws std::logic_error if the shapes differ, Error for a covariance that is not finite.
    explicit FrechetReference(const Moments& reference);

    // Biased upwards, by about a constant over the number of samples. Throws Error for another width and
    // for moments that are not finite.
    double distance(const Moments& generated) const;

    std::int64_t width() const { return static_cast<std::int64_t>(mean_.size()); }

  private:
    std::vector<double> mean_, root_;  // [d], [d, d]: the square root of the covariance
    double trace_ = 0;
    std::int64_t rank_ = 0;  // at most
};

struct FrechetExtrapolation {
    struct Point {
        std::int64_t count = 0;  // samples
        double distance = 0;
    };
    double value = 0;           // of infinitely many generated samples: the line at 1/N = 0
    double slope = 0;           // of the line over 1/N
    std::vector<Point> points;  // by ascending count; the last one is of all samples
};

constexpr std::int64_t extrapolation_points = 15;
constexpr std::int64_t extrapolation_samples = 30;  // at least

// The distance without its bias in the number of generated samples: distances of 15 numbers N of samples,
// evenly spaced in N between a third of them and all, each of a random subset drawn by `seed`, and the
// least-squares line over 1/N through them. The samples are taken for independent ones: of a set that holds each
// class equally often, random subsets do not, and the line falls too low. Throws Error for fewer than 30 samples or another width, and
// what `progress` throws.
// Source: Chong, Forsyth, "Effectively Unbiased FID and Inception Score and where to find them" (CVPR 2020,
// arXiv 1911.07023); evenly spaced in N as in the authors' code.
FrechetExtrapolation extrapolate(const FrechetReference& reference, const FeatureMatrix& generated,
                                 std::uint64_t seed, const MetricProgress& progress = {});
