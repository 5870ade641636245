// AdamW (Loshchilov and Hutter 2019) over all parameters, with gradient clipping by global norm, a
// learning-rate schedule and an optional exponential moving average of the weights.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels/common/stream.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/shard.h"

struct OptimizerRule {
    float beta1 = 0.9f, beta2 = 0.95f, epsilon = 1e-8f;
    float weight_decay = 0.05f;  // of parameters that decay (Parameter::decays)
    bool decays_all = false;     // of all of them
    float max_norm = 3.0f;       // gradients are scaled down to this global norm; 0: never
    float ema_decay = 0.0f;      // 0: no average is kept
};

class Optimizer {
  public:
    // Replaces a number by its sum over ranks.
    using SumOverRanks = std::function<void(double& number)>;

    // `parameters` must be allocated with gradients on `device`, and outlive the optimizer; on the GPU, updates
    // are queued on `stream`. With a `shard`, this rank keeps the state of that part of the parameters, whose
    // gradients must hold the sums over ranks, and updates that part alone; `sum_over_ranks` completes the
    // gradients' norm.
    Optimizer(Parameters& parameters, Device device, const OptimizerRule& rule, Stream stream = {});
    Optimizer(Parameters& parameters, Device device, const OptimizerRule& rule, Stream stream, Shard shard,
              SumOverRanks sum_over_ranks);

    // One update from the gradients, the `step`-th (from 0), which sets the bias corrections. Returns the
    // gradients' global norm before clipping; if that is not finite, nothing has been changed.
    double update(std::int64_t step, float learning_rate);

    // The state, in the shard's order: that of the parameters' slabs if the shard is all. `average` is null
    // without EMA.
    float* first_moment() { return reinterpret_cast<float*>(first_moment_.data()); }
    float* second_moment() { return reinterpret_cast<float*>(second_moment_.data()); }
    float* average() { return reinterpret_cast<float*>(average_.data()); }
    // The average starts from the weights as they are.
    void start_average();
    const Shard& shard() const { return shard_; }

  private:
    Parameters& parameters_;
    OptimizerRule rule_;
    Device device_;
    Stream stream_;
    Shard shard_;
    std::vector<Segment> segments_;
    SumOverRanks sum_over_ranks_;
    Memory first_moment_, second_moment_, average_;
    Memory squared_norm_;  // one double, and the workspace to compute it
};

// Linear warm-up from 0, then constant or half a cosine down to 0 at the last step.
struct LearningRateSchedule {
    float peak = 0;
    std::int64_t warmup_steps = 0, steps = 0;
    bool cosine = true;

    // For the `step`-th update, from 0.
    float at(std::int64_t step) const;
};
