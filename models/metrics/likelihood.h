// Bits per dimension of images under a fractal model: the mean over channels and pixels, or over tokens, of -log2
// p. Exact for
// AR levels. A MAR level defines no single likelihood: its estimate is that of the order-agnostic bound, the
// mean over random orders and places in them, from one random mask per level and pass; several passes narrow
// it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/fractal/fractal.h"
#include "models/fractal/image_values.h"

class Likelihood {
  public:
    // Batches of up to `batch` images. The model must stay.
    Likelihood(const FractalModel& model, std::int64_t batch, std::uint64_t seed = 0);

    // Adds a batch: images [n, C, s, s] and for each image the class (-1: unconditional). Masks are drawn for
    // (seed, pass, number of the batch).
    void add(const ImageValues& images, std::span<const std::int64_t> classes, std::uint32_t pass = 0);

    const Plan& plan() const { return plan_; }

    // Discards all added images; the plan is kept.
    void restart();

    // False if the figures are estimates of a bound.
    bool exact() const { return exact_; }
    std::int64_t images() const { return images_; }  // counted once for every pass
    // Of everything added, without the guiding pixels' terms.
    double bits_per_dim() const;
    // With them, as the authors' release reports it: the guiding pixels' mean loss of every level added.
    double bits_per_dim_with_guiding() const;
    // Per channel, without them.
    std::vector<double> channel_bits_per_dim() const;
    // Standard error of bits_per_dim over batches and passes; 0 for fewer than two.
    double standard_error() const;

  private:
    struct Part {  // one batch, one pass
        double images;
        std::vector<double> bits;  // [generators + 1, C], like the totals of FractalModel::loss, per term
    };

    void run(const ImageValues& images, std::span<const std::int32_t> ids, const FractalMasks& masks,
             std::vector<double>& totals);
    double mean(const Part& part, bool guiding) const;
    double average(bool guiding) const;

    const FractalModel& model_;
    std::int64_t batch_;
    std::uint64_t seed_;
    bool exact_;
    Tape tape_;
    Plan plan_;
    std::int64_t images_ = 0;
    std::vector<Part> parts_;
};
