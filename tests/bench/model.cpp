// A whole training step and whole images, against the ceiling. Operations are counted by
// models/fractal/cost.h for the arithmetic that the mathematics needs. What is computed again to save memory,
// norms, activations, softmax and the optimizer are not counted: they are what the share of the ceiling loses
// to.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "data/fractals.h"
#include "models/fractal/cost.h"
#include "models/fractal/fractal.h"
#include "models/fractal/sample.h"
#include "runtime/ceiling.h"
#include "runtime/image_ops.h"
#include "runtime/optimizer.h"
#include "tests/bench/benchmarks.h"

namespace {

// Three levels, so that every part of the recursion is there; 6.2 million parameters.
FractalConfig benchmark_model(const std::string& type) {
    const std::int64_t num_conds = type == "mar" ? 5 : 1;
    return {{32, 4, 1}, {256, 128, 64}, {6, 3, 2}, {8, 4, 2}, {type, type, "ar"}, num_conds, false, 10, 3};
}

constexpr std::int64_t sampling_iterations[] = {16, 8};

FractalCost benchmark_cost(const FractalConfig& config) {
    return fractal_cost(config, {{std::begin(sampling_iterations), std::end(sampling_iterations)}, false});
}

// One update as build/train makes it: batch 32, no dropout, clipping, AdamW.
class TrainingStep {
  public:
    explicit TrainingStep(const FractalConfig& benchmark)
        : model_(benchmark, Device::cpu), tape_(Device::cpu) {
        const FractalConfig& config = model_.config();
        dims_ = config.channels * config.image_size() * config.image_size();
        pixels_.resize(static_cast<std::size_t>(batch * dims_));
        std::vector<std::int64_t> samples;
        for (std::int64_t i = 0; i < batch; ++i) {
            const int label = static_cast<int>(i % fractal_classes);
            draw_fractal(pixels_.data() + i * dims_, static_cast<int>(config.image_size()), label, 0,
                         static_cast<std::uint64_t>(i));
            ids_.push_back(label + 1);
            samples.push_back(i);
        }
        masks_ = training_masks(config, samples, 0, 0);
        scales_ = loss_scales(config, 5, loss_terms(config, masks_));
        tape_.set_recording(true);
        plan_ = plan_job(tape_, [&] { loss(); });
        model_.parameters().allocate(Device::cpu, true);
        model_.parameters().initialize(0);
        optimizer_ = std::make_unique<Optimizer>(model_.parameters(), Device::cpu, OptimizerRule{});
    }

    void run() {
        model_.parameters().zero_gradients();
        run_job(tape_, plan_, [&] { loss(); });
        optimizer_->update(steps_++, 1e-3f);
    }

    // For the sequences that these masks let through.
    double operations() const {
        double sum = 0;
        for (const NetworkCost& network : benchmark_cost(model_.config()).networks)
            sum += network.training / network.training_sequences *
                   static_cast<double>(masks_.sequences(network.level));
        return sum;
    }
    const Plan& plan() const { return plan_; }

    static constexpr std::int64_t batch = 32;

  private:
    void loss() {
        const FractalConfig& config = model_.config();
        const Tensor bytes = tape_.create(batch, dims_, false, Element::u8),
                     totals = tape_.create(static_cast<std::int64_t>(config.generators()) + 1,
                                           config.channels, false, Element::f64);
        copy_to_tensor(tape_, bytes, pixels_.data(), pixels_.size());
        zero_tensor(tape_, totals);
        model_.loss(tape_, normalize_pixels(tape_, bytes, config.pixel_mean(), config.pixel_deviation()),
                    ids_, masks_, scales_, totals, {}, model_.default_chunks());
    }

    FractalModel model_;
    Tape tape_;
    Plan plan_;
    std::unique_ptr<Optimizer> optimizer_;
    std::int64_t dims_ = 0, steps_ = 0;
    std::vector<std::uint8_t> pixels_;
    std::vector<std::int32_t> ids_;
    FractalMasks masks_;
    std::vector<float> scales_;
};

// Measures the ceiling right before and right after the job and takes the larger: a noisy neighbour then
// lowers the share, never lifts it.
void report(const Table& table, std::string_view name, double operations, double goal,
            const std::function<void()>& job) {
    const double before = measure_product(table.repeats());
    job();
    const Timing timing = measure(table.repeats(), job);
    const double ceiling = std::max(before, measure_product(table.repeats())),
                 rate = operations / timing.best;
    fmt::print(
        "{:<44}{:8.3f} s best, {:.3f} s median  {:8.1f} GFLOP {:8.1f} GFLOP/s  {:.2f} of {:.1f} (goal "
        "{:.2f})\n",
        name, timing.best, timing.median, operations / 1e9, rate / 1e9, rate / ceiling, ceiling / 1e9, goal);
    std::fflush(stdout);
}

}  // namespace

void bench_training_step(const Table& table) {
    if (!table.wants("training_step")) return;
    for (const std::string type : {"ar", "mar"}) {
        TrainingStep step(benchmark_model(type));
        report(table, fmt::format("training_step, {}, batch {}", type, TrainingStep::batch),
               step.operations(), 0.60, [&] { step.run(); });
    }
}

void bench_sampling(const Table& table) {
    if (!table.wants("sampling")) return;
    constexpr std::int64_t images = 16;
    const std::vector<std::int64_t> iterations(std::begin(sampling_iterations),
                                               std::end(sampling_iterations));
    for (const std::string type : {"ar", "mar"}) {
        FractalModel model(benchmark_model(type), Device::cpu);
        model.parameters().allocate(Device::cpu, false);
        model.parameters().initialize(0);
        FractalSampler sampler(model, images, false, iterations);
        std::vector<std::int64_t> classes(images);
        for (std::int64_t i = 0; i < images; ++i)
            classes[static_cast<std::size_t>(i)] = i % model.config().class_num;
        const std::string steps = type == "mar" ? fmt::format(", iters {}", fmt::join(iterations, ",")) : "";
        report(table, fmt::format("sampling of {} images, {}, cfg 1{}", images, type, steps),
               images * benchmark_cost(model.config()).sum(&NetworkCost::sampling), 0.25,
               [&] { sampler.sample(classes, {}); });
    }
}
