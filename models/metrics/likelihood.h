// Bits per dimension of images under a fractal model: the mean over channels and pixels of -log2 p. AR levels
// only: exact.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/fractal/fractal.h"

class Likelihood {
  public:
    // Batches of up to `batch` images. The model must stay.
    Likelihood(const FractalModel& model, std::int64_t batch);

    // Adds a batch: bytes [n, C, s, s] and for each image the class (-1: unconditional).
    void add(std::span<const std::uint8_t> images, std::span<const std::int64_t> classes);

    // Forgets what was added; the plan stays.
    void restart();

    std::int64_t images() const { return images_; }
    // Of everything added.
    double bits_per_dim() const;
    // Per channel.
    std::vector<double> channel_bits_per_dim() const;
    // Standard error of bits_per_dim over the batches; 0 for fewer than two.
    double standard_error() const;

  private:
    void run(std::span<const std::uint8_t> images, std::span<const std::int32_t> ids,
             std::vector<double>& totals);

    const FractalModel& model_;
    std::int64_t batch_;
    Tape tape_;
    Plan plan_;
    std::int64_t images_ = 0;
    std::vector<double> totals_;                      // nats per channel
    std::vector<std::pair<double, double>> batches_;  // images and bits/dim of each
};
