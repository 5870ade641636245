// A whole training step and whole images, against the ceiling. Operations are counted by
// models/fractal/cost.h for the arithmetic that the mathematics needs. Recomputation, norms, activations,
// softmax and the optimizer are not counted: they lower the share of the ceiling.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "data/fractals/fractals.h"
#include "models/fractal/cost.h"
#include "models/fractal/fractal.h"
#include "models/fractal/sample.h"
#include "runtime/base/error.h"
#include "runtime/ops/image_ops.h"
#include "runtime/tensor/optimizer.h"
#include "tests/bench/table.h"

namespace {

// A model and how it is run.
struct Workload {
    std::string name;
    FractalConfig config;
    std::int64_t batch;         // of the training step, at most
    std::int64_t images;        // sampled at once
    std::int64_t chunk_tokens;  // that a level computes at once; 0: the model's default
    std::vector<std::int64_t> iterations;
};

bool is_mar(const Workload& workload) {
    return workload.config.generator_type_list.front() == "mar";
}

// On the CPU three levels, so that every part of the recursion is there; 6.2 million parameters. On the GPU
// the paper's models of 64x64 images, in chunks that fill it.
Workload workload_of(const Table& table, const std::string& type) {
    const std::int64_t num_conds = type == "mar" ? 5 : 1;
    const auto three_levels = [&](std::vector<std::int64_t> sizes, std::vector<std::int64_t> widths,
                                  std::vector<std::int64_t> blocks, std::vector<std::int64_t> heads) {
        return FractalConfig{sizes, widths, blocks, heads, {type, type, "ar"}, num_conds, false, 10, 3};
    };
    if (table.effort().smoke)
        return {type, three_levels({4, 2, 1}, {16, 16, 16}, {1, 1, 1}, {2, 2, 2}), 2, 2, 0, {2, 2}};
    if (table.backend().device == Device::cpu)
        return {type, three_levels({32, 4, 1}, {256, 128, 64}, {6, 3, 2}, {8, 4, 2}), 32, 16, 0, {16, 8}};
    const std::string name = fmt::format("fractal{}_in64", type);
    const FractalConfig& config = fractal_preset(name).config;
    return {name, config, 256, 256, 65536, recommended_iterations(config)};
}

ChunkSizes chunks_of(const FractalModel& model, std::int64_t tokens) {
    return tokens == 0 ? model.default_chunks() : model.chunks_of(tokens);
}

FractalCost cost_of(const Workload& workload) {
    return fractal_cost(workload.config, {workload.iterations, false});
}

// One update as build/train makes it: no dropout, clipping, AdamW.
class TrainingStep {
  public:
    // Throws Error if memory is short.
    TrainingStep(const Workload& workload, std::int64_t batch, const Backend& backend)
        : workload_(workload),
          batch_(batch),
          model_(workload.config, backend),
          tape_(backend),
          chunks_(chunks_of(model_, workload.chunk_tokens)) {
        const FractalConfig& config = model_.config();
        dims_ = config.channels * config.image_size() * config.image_size();
        pixels_.resize(static_cast<std::size_t>(batch_ * dims_));
        std::vector<std::int64_t> samples;
        for (std::int64_t i = 0; i < batch_; ++i) {
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
        model_.parameters().allocate(backend, true);
        model_.parameters().initialize(0);
        optimizer_ =
            std::make_unique<Optimizer>(model_.parameters(), backend.device, OptimizerRule{}, tape_.stream());
    }

    void run() {
        model_.parameters().zero_gradients(tape_.stream());
        run_job(tape_, plan_, [&] { loss(); });
        optimizer_->update(steps_++, 1e-3f);
    }

    // For the sequences that these masks let through.
    double operations() const {
        double sum = 0;
        for (const NetworkCost& network : cost_of(workload_).networks)
            sum += network.training / network.training_sequences *
                   static_cast<double>(masks_.sequences(network.level));
        return sum;
    }
    std::int64_t batch() const { return batch_; }

  private:
    void loss() {
        const FractalConfig& config = model_.config();
        const Tensor bytes = tape_.create(batch_, dims_, false, Element::u8),
                     totals = tape_.create(static_cast<std::int64_t>(config.generators()) + 1,
                                           config.channels, false, Element::f64);
        copy_to_tensor(tape_, bytes, pixels_.data(), pixels_.size());
        zero_tensor(tape_, totals);
        model_.loss(tape_, normalize_pixels(tape_, bytes, config.pixel_mean(), config.pixel_deviation()),
                    ids_, masks_, scales_, totals, {}, chunks_);
    }

    Workload workload_;
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
std::unique_ptr<TrainingStep> largest_step(const Workload& workload, const Backend& backend) {
    for (std::int64_t batch = workload.batch;; batch /= 2) {
        try {
            auto step = std::make_unique<TrainingStep>(workload, batch, backend);
            step->run();
            return step;
        } catch (const Error&) {
            if (batch == 1) throw;
        }
    }
}

}  // namespace

void bench_training_step(Table& table, const JobSizes& sizes) {
    if (!table.wants("training_step")) return;
    for (const std::string type : {"ar", "mar"}) {
        Workload workload = workload_of(table, type);
        if (sizes.batch != 0) workload.batch = sizes.batch;
        if (sizes.chunk_tokens != 0) workload.chunk_tokens = sizes.chunk_tokens;
        try {
            const auto step = largest_step(workload, table.backend());
            table.job(fmt::format("training_step, {}, batch {}", workload.name, step->batch()),
                      static_cast<double>(step->batch()), step->operations(), 0.70, [&] { step->run(); });
        } catch (const Error& error) {
            table.note("training_step, " + workload.name, error.what());
        }
    }
}

namespace {

void bench_sampler(Table& table, const Workload& workload) {
    FractalModel model(workload.config, table.backend());
    model.parameters().allocate(table.backend(), false);
    model.parameters().initialize(0);
    FractalSampler sampler(model, workload.images, false, workload.iterations,
                           chunks_of(model, workload.chunk_tokens));
    std::vector<std::int64_t> classes(static_cast<std::size_t>(workload.images));
    for (std::size_t i = 0; i < classes.size(); ++i)
        classes[i] = static_cast<std::int64_t>(i) % workload.config.class_num;
    const double images = static_cast<double>(workload.images);
    const auto measured = [&](std::string_view how) {
        const std::string steps =
            is_mar(workload) ? fmt::format(", iters {}", fmt::join(workload.iterations, ",")) : "";
        table.job(
            fmt::format("sampling of {} images, {}, cfg 1{}{}", workload.images, workload.name, steps, how),
            images, images * cost_of(workload).sum(&NetworkCost::sampling), 0.40,
            [&] { sampler.sample(classes, {}); });
    };
    measured("");
    if (table.backend().device == Device::cpu) return;
    sampler.use_graphs(false);
    measured(", without graphs");
}

}  // namespace

void bench_sampling(Table& table) {
    if (!table.wants("sampling")) return;
    for (const std::string type : {"ar", "mar"}) {
        const Workload workload = workload_of(table, type);
        try {
            bench_sampler(table, workload);
        } catch (const Error& error) {
            table.note("sampling, " + workload.name, error.what());
        }
    }
}
