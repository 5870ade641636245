// Measured cost of a model on this machine, to compare with the formulas of models/fractal/cost.h.
#pragma once

#include <cstdint>
#include <vector>

#include "models/fractal/config.h"

struct CostMeasurement {
    double ceiling = 0;  // operations per second of a large matrix product, the larger of before and after
    double training_seconds = 0, sampling_seconds = 0;  // of all images together
    double training_bytes = 0, sampling_bytes = 0;      // activations and workspace, as planned
};

// Builds the model with random weights and times one training pass (forward and backward, without optimizer)
// and sampling, with guidance if `guidance` is not 1, of `images` images: the faster of two runs each, one if
// it takes long. Throws Error, before anything runs, if memory does not suffice.
CostMeasurement measure_cost(const FractalConfig& config, const std::vector<std::int64_t>& iterations,
                             std::int64_t images, double guidance);
