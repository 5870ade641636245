// A prediction of a job's time on an H200, before any was measured on one.
//
// The job's work is counted from the code itself (runtime/device/work_count.h): every launch of the sampler,
// with its arguments. A launch takes the longest of
//
//   bytes / 4.3 TB/s       what a copy within the device's memory reaches of the data sheet's 4.8 TB/s; every
//                          tensor among the arguments moves once, also where the L2 cache would keep it
//   operations / rate      of its products: 790 TFLOP/s for cuBLASLt's, as large products in bf16 reach of the
//                          data sheet's 990; our own kernels' rate follows from the instructions for each
//                          product in their compiled main loop (latency.cpp)
//   kernels x 1.2 us       a kernel that waits for the one before it in a graph takes 2 us (reported: 1.3 to 2);
//                          ours start before that one has ended (kernels/common/launch.cuh), by which 0.8 us are
//                          taken to be hidden, the launch itself: an assumption, and less behind a product of
//                          cuBLASLt, which lets the next kernel start only when it ends. Products of cuBLASLt,
//                          copies and fills themselves: 2 us
//   weights / 55 GB/s      the pixel sampler alone: what one multiprocessor streams from the L2 cache (64
//                          bytes a cycle at 1.7 GHz are 110 GB/s, half of it with its dependent rows), since a
//                          block reads all weights for each of its tiles
//   barriers, chains       a level in one kernel and the sampler of few pixels of a wide level, whose blocks wait for
//                          each other: 0.4 us for a barrier of a cluster (an assumption), 33 cycles at 1.7 GHz
//                          for a product that waits for the one before it, and 20 GB/s for what a block of the
//                          level gets from its partners: of 132 multiprocessors 2.65 TB/s, as measured in clusters
//                          of 4 (Luo et al. 2024, arXiv 2402.13499). Levels beyond 16 clusters take another turn
//
// and the job the sum of its launches. Work of the host is left out: graphs queue it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "models/fractal/config.h"
#include "models/nat/config.h"
#include "models/nat/tokenizer_config.h"
#include "runtime/device/work_count.h"
#include "tests/bench/kernels.h"

// Bytes and operations of one launch in bf16, and the number of kernels it queues on a GPU.
struct LaunchCost {
    Cost cost;
    std::int64_t kernels;
    double seconds;
};
LaunchCost launch_cost(const CountedWork& work);

// A part of a job ("level 2", "steps"): sums over its launches.
struct PartCost {
    std::int64_t kernels = 0;
    Cost cost{0, 0};
    double seconds = 0;

    void add(const LaunchCost& launch);
};

// A job that draws `images` pictures in bf16.
struct PredictedJob {
    std::string name;
    std::int64_t images;
    std::map<std::string, PartCost> parts;

    PartCost total() const;
};

// Draws `images` pictures on the GPU at once, guided, in bf16, launch by launch: those of a fractal model, and
// those of a transformer of tokens in `steps` steps with its decoder. `begin` is called when the model is there.
using Begin = std::function<void()>;
void draw_fractals(const FractalConfig& config, const std::vector<std::int64_t>& iterations,
                   std::int64_t images, const Begin& begin);
void draw_tokens(const NatConfig& config, const TokenizerConfig& tokenizer, std::int64_t steps,
                 std::int64_t images, const Begin& begin);

// Of one of these, counted from its begin() on.
PredictedJob predict(std::string name, std::int64_t images, const std::function<void(const Begin&)>& job);
// Those whose times are goals: fractalmar_large_in256 with iterations 64,16,16 for 1 and for 512 pictures, and
// autonat_l in 8 steps for one.
std::vector<PredictedJob> predicted_goals();

// One line for each part, per picture, as a Markdown table.
std::string prediction_table(const std::vector<PredictedJob>& jobs);
