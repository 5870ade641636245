#include "sample/cost_measure.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "models/fractal/fractal.h"
#include "models/fractal/sample.h"
#include "runtime/base/error.h"
#include "runtime/device/ceiling.h"
#include "runtime/ops/ops.h"

namespace {

constexpr int ceiling_repeats = 5;

// Of the faster of two runs; of the first one if that is long, beside which waking threads and touching
// memory for the first time are nothing.
template <class Job>
double seconds_of(Job&& job) {
    constexpr double long_enough = 10;
    const auto once = [&] {
        const auto start = std::chrono::steady_clock::now();
        job();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    const double first = once();
    return first > long_enough ? first : std::min(first, once());
}

// Forward and backward pass of one batch, of the mean colour or the first code: the time does not depend on the
// pixels.
class TrainingPass {
  public:
    TrainingPass(const FractalModel& model, std::int64_t images)
        : model_(model), ids_(static_cast<std::size_t>(images)), tape_(model.backend()) {
        const FractalConfig& config = model.config();
        std::vector<std::int64_t> samples(ids_.size());
        std::iota(samples.begin(), samples.end(), 0);
        masks_ = training_masks(config, samples, 0, 0);
        scales_ = loss_scales(config, 5, loss_terms(config, masks_));
        tape_.set_recording(true);
        plan_ = plan_job(tape_, [&] { run_loss(); });
    }

    void run() {
        run_job(tape_, plan_, [&] { run_loss(); });
    }
    const Plan& plan() const { return plan_; }

  private:
    void run_loss() {
        const FractalConfig& config = model_.config();
        const std::int64_t dims = config.channels * config.image_size() * config.image_size();
        const Tensor images = tape_.create(static_cast<std::int64_t>(ids_.size()), dims, false),
                     totals = tape_.create(static_cast<std::int64_t>(config.generators()) + 1,
                                           config.channels, false, Element::f64);
        for (const Tensor& tensor : {images, totals}) zero_tensor(tape_, tensor);
        model_.loss(tape_, images, ids_, masks_, scales_, totals, {}, model_.default_chunks());
    }

    const FractalModel& model_;
    std::vector<std::int32_t> ids_;
    FractalMasks masks_;
    std::vector<float> scales_;
    Tape tape_;
    Plan plan_;
};

void require_memory(const FractalModel& model, const Plan& training, const Plan& sampling,
                    std::int64_t images) {
    const std::size_t weights = 2 * model.parameters().slab_floats() * sizeof(float),
                      needed = weights + training.bytes + sampling.bytes + measured_product_bytes(),
                      there = available_memory(Device::cpu);
    if (needed > there)
        fail(
            "--measure: {:.0f} MiB are needed ({:.0f} for weights and gradients, {:.0f} for training and "
            "{:.0f} for sampling {} images), {:.0f} MiB are free; a smaller --batch lowers the latter two",
            static_cast<double>(needed) / 0x1p20, static_cast<double>(weights) / 0x1p20,
            static_cast<double>(training.bytes) / 0x1p20, static_cast<double>(sampling.bytes) / 0x1p20,
            images, static_cast<double>(there) / 0x1p20);
}

}  // namespace

CostMeasurement measure_cost(const FractalConfig& config, const std::vector<std::int64_t>& iterations,
                             std::int64_t images, double guidance) {
    SampleRule rule;
    rule.guidance = static_cast<float>(guidance);
    rule.filter_threshold = 1e-4f;
    FractalModel model(config, Device::cpu);
    TrainingPass training(model, images);
    FractalSampler sampler(model, images, rule.guidance != 1, iterations);
    require_memory(model, training.plan(), sampler.plan(), images);
    model.parameters().allocate(Device::cpu, true);
    model.parameters().initialize(0);

    CostMeasurement measured;
    measured.training_bytes = static_cast<double>(training.plan().bytes);
    measured.sampling_bytes = static_cast<double>(sampler.plan().bytes);
    measured.ceiling = measure_product(ceiling_repeats);
    measured.training_seconds = seconds_of([&] { training.run(); });
    std::vector<std::int64_t> classes(static_cast<std::size_t>(images), -1);
    for (std::size_t i = 0; i < classes.size() && config.class_num > 0; ++i)
        classes[i] = static_cast<std::int64_t>(i) % config.class_num;
    measured.sampling_seconds = seconds_of([&] {
        if (config.of_codes())
            sampler.sample_codes(classes, rule);
        else
            sampler.sample(classes, rule);
    });
    measured.ceiling = std::max(measured.ceiling, measure_product(ceiling_repeats));
    return measured;
}
