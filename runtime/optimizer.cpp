#include "runtime/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/adamw.h"
#include "kernels/gather.h"
#include "kernels/reduce.h"
#include "runtime/launch.h"

Optimizer::Optimizer(Parameters& parameters, Device device, const OptimizerRule& rule, Stream stream)
    : parameters_(parameters),
      rule_(rule),
      device_(device),
      stream_(stream),
      squared_norm_(device,
                    static_cast<std::size_t>(1 + SIZE_ON(device, squared_norm_workspace)) * sizeof(double)) {
    const std::size_t bytes = parameters.slab_floats() * sizeof(float);
    first_moment_ = Memory(device, bytes);
    second_moment_ = Memory(device, bytes);
    if (rule.ema_decay > 0) average_ = Memory(device, bytes);
}

void Optimizer::start_average() {
    const auto count = static_cast<std::int64_t>(parameters_.slab_floats());
    if (average_.size() > 0)
        LAUNCH_ON(device_, stream_, copy_rows, average(), count, parameters_.values(), count, 1, count);
}

double Optimizer::update(std::int64_t step, float learning_rate) {
    auto* const device_norm = reinterpret_cast<double*>(squared_norm_.data());
    fill_on_device(device_, device_norm, 0, sizeof(double), stream_);
    for (const Parameter& parameter : parameters_.all())
        LAUNCH_ON(device_, stream_, squared_norm_accumulate, device_norm, device_norm + 1, parameter.gradient,
                  parameter.count);
    double squared_norm = 0;
    copy_from_device(device_, &squared_norm, device_norm, sizeof(double), stream_);
    if (!std::isfinite(squared_norm)) return squared_norm;
    const auto t = static_cast<double>(step + 1);
    AdamW adamw{learning_rate, rule_.beta1, rule_.beta2, rule_.epsilon, 0, 0, 0, rule_.max_norm, device_norm};
    adamw.correction1 = static_cast<float>(1 - std::pow(static_cast<double>(rule_.beta1), t));
    adamw.correction2 = static_cast<float>(1 - std::pow(static_cast<double>(rule_.beta2), t));
    for (const Parameter& parameter : parameters_.all()) {
        adamw.weight_decay = parameter.decays() ? rule_.weight_decay : 0.0f;
        LAUNCH_ON(device_, stream_, adamw_update, parameters_.values() + parameter.offset, parameter.rounded,
                  first_moment() + parameter.offset, second_moment() + parameter.offset, parameter.gradient,
                  parameter.count, adamw);
    }
    if (rule_.ema_decay > 0)
        LAUNCH_ON(device_, stream_, ema_update, average(), parameters_.values(),
                  static_cast<std::int64_t>(parameters_.slab_floats()), rule_.ema_decay);
    return std::sqrt(squared_norm);
}

float LearningRateSchedule::at(std::int64_t step) const {
    if (step < warmup_steps) return peak * static_cast<float>(step + 1) / static_cast<float>(warmup_steps);
    if (!cosine || steps <= warmup_steps) return peak;
    const double progress =
        static_cast<double>(std::min(step, steps) - warmup_steps) / static_cast<double>(steps - warmup_steps);
    return peak * static_cast<float>(0.5 * (1 + std::cos(std::numbers::pi * progress)));
}
