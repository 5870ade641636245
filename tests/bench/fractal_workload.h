// A fractal model and how it is run: what the rows of model.cpp and goals.cpp measure.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/fractal/cost.h"
#include "models/fractal/fractal.h"
#include "models/fractal/sample.h"
#include "runtime/tensor/optimizer.h"

struct FractalWorkload {
    std::string name;
    FractalConfig config;
    std::int64_t batch;         // of the training step, at most
    std::int64_t images;        // sampled at once
    std::int64_t chunk_tokens;  // that a level computes at once; 0: the model's default
    std::vector<std::int64_t> iterations;
    float guidance = 1;

    bool is_mar() const { return config.generator_type_list.front() == "mar"; }
    FractalCost cost() const { return fractal_cost(config, {iterations, guidance != 1}); }
    std::string sampling_text() const;  // "sampling of 16 images, mar, cfg 1, iters 16,8"
};

// One update as build/train makes it: no dropout, clipping, AdamW.
class FractalTrainingStep {
  public:
    // Throws Error if memory is short.
    FractalTrainingStep(const FractalWorkload& workload, std::int64_t batch, const Backend& backend);
    void run();
    // For the sequences that these masks let through.
    double operations() const;
    std::int64_t batch() const { return batch_; }

  private:
    void loss();

    FractalWorkload workload_;
    std::int64_t batch_;
    FractalModel model_;
    Tape tape_;
    ChunkSizes chunks_;
    Plan plan_;
    std::unique_ptr<Optimizer> optimizer_;
    std::int64_t dims_ = 0, steps_ = 0;
    std::vector<std::uint8_t> pixels_;
    std::vector<std::int32_t> ids_;
    FractalMasks masks_;
    std::vector<float> scales_;
};

// With the largest batch, at most the workload's, that memory allows: halved until one step has run.
std::unique_ptr<FractalTrainingStep> largest_training_step(const FractalWorkload& workload,
                                                           const Backend& backend);

// Images of a model with random weights.
class FractalSampling {
  public:
    FractalSampling(const FractalWorkload& workload, const Backend& backend);
    void run() { sampler_.sample(classes_, rule_); }
    void use_graphs(bool on) { sampler_.use_graphs(on); }

  private:
    FractalModel model_;
    FractalSampler sampler_;
    std::vector<std::int64_t> classes_;
    SampleRule rule_;
};
