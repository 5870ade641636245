#include "tests/bench/fractal_workload.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data/fractals/fractals.h"
#include "runtime/base/error.h"
#include "runtime/ops/image_ops.h"

namespace {

ChunkSizes chunks_of(const FractalModel& model, std::int64_t tokens) {
    return tokens == 0 ? model.default_chunks() : model.chunks_of(tokens);
}

}  // namespace

std::string FractalWorkload::sampling_text() const {
    return fmt::format("sampling of {} images, {}, cfg {}{}", images, name, guidance,
                       is_mar() ? fmt::format(", iters {}", fmt::join(iterations, ",")) : "");
}

FractalTrainingStep::FractalTrainingStep(const FractalWorkload& workload, std::int64_t batch,
                                         const Backend& backend)
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

void FractalTrainingStep::run() {
    model_.parameters().zero_gradients(tape_.stream());
    run_job(tape_, plan_, [&] { loss(); });
    optimizer_->update(steps_++, 1e-3f);
}

double FractalTrainingStep::operations() const {
    double sum = 0;
    for (const NetworkCost& network : workload_.cost().networks)
        sum += network.training / network.training_sequences *
               static_cast<double>(masks_.sequences(network.level));
    return sum;
}

void FractalTrainingStep::loss() {
    const FractalConfig& config = model_.config();
    const Tensor bytes = tape_.create(batch_, dims_, false, Element::u8),
                 totals = tape_.create(static_cast<std::int64_t>(config.generators()) + 1, config.channels,
                                       false, Element::f64);
    copy_to_tensor(tape_, bytes, pixels_.data(), pixels_.size());
    zero_tensor(tape_, totals);
    model_.loss(tape_, normalize_pixels(tape_, bytes, config.pixel_mean(), config.pixel_deviation()), ids_,
                masks_, scales_, totals, {}, chunks_);
}

std::unique_ptr<FractalTrainingStep> largest_training_step(const FractalWorkload& workload,
                                                           const Backend& backend) {
    for (std::int64_t batch = workload.batch;; batch /= 2) {
        try {
            auto step = std::make_unique<FractalTrainingStep>(workload, batch, backend);
            step->run();
            return step;
        } catch (const Error&) {
            if (batch == 1) throw;
        }
    }
}

FractalSampling::FractalSampling(const FractalWorkload& workload, const Backend& backend)
    : model_(workload.config, backend),
      sampler_(model_, workload.images, workload.guidance != 1, workload.iterations,
               chunks_of(model_, workload.chunk_tokens)) {
    model_.parameters().allocate(backend, false);
    model_.parameters().initialize(0);
    for (std::int64_t i = 0; i < workload.images; ++i) classes_.push_back(i % workload.config.class_num);
    rule_.guidance = workload.guidance;
}
