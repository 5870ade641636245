// Drawing images: the recursion run forward, one patch after the other at AR levels with their keys and
// values cached, one channel after the other at the pixel level.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/fractal/fractal.h"

struct SampleRule {
    float temperature = 1;  // multiplies the logits
    float guidance = 1;     // classifier-free guidance scale ("cfg"); 1: conditional only
    bool linear_schedule =
        true;  // guidance grows linearly over the steps of level 0; otherwise it is constant
    float filter_threshold = 0;
    bool greedy = false;
    std::uint64_t seed = 0;
    std::int64_t first_image =
        0;  // number of the first image: an image depends on its number and the seed, not on the batch
};

// What one draw saw, in the order of the draws.
struct DrawRecord {
    std::int32_t value;
    float uniform, margin;  // margin: distance of the uniform to the nearer edge of the value's interval
};

class FractalSampler {
  public:
    // Images of up to `batch` per call, guided or not. The model must stay.
    FractalSampler(const FractalModel& model, std::int64_t batch, bool guided);

    // One image per class (-1: unconditional), bytes [classes, C, s, s]. At most `batch` classes.
    std::vector<std::uint8_t> sample(std::span<const std::int64_t> classes, const SampleRule& rule);

    // For tests: numbers to use instead of our own, one per draw; and every draw as it happened.
    void replay(std::span<const float> uniforms) { replay_ = uniforms; }
    const std::vector<DrawRecord>& draws() const { return draws_; }
    void keep_draws(bool on) { record_draws_ = on; }

    const Plan& plan() const { return plan_; }

  private:
    struct Job;  // what holds for one call of sample()
    void run(std::span<const std::int64_t> classes, const SampleRule& rule, std::uint8_t* bytes);
    // Images [rows, C * size^2], normalised, of level `level` for its conditions.
    Tensor sample_level(const Job& job, std::size_t level, const Tensor& condition, const Tensor& paths,
                        float guidance);
    Tensor sample_pixel(const Job& job, const Tensor& condition, const Tensor& paths, float guidance);
    Tensor uniforms(const Job& job, const Tensor& paths);
    void record_draws(const Job& job, const Tensor& values, const Tensor& numbers, const Tensor& margins);

    const FractalModel& model_;
    std::int64_t batch_;
    bool guided_;
    Tape tape_;
    Plan plan_;
    std::span<const float> replay_;
    std::size_t replayed_ = 0;
    bool record_draws_ = false;
    std::vector<DrawRecord> draws_;
};
