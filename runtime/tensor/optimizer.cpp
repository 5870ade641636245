#include "runtime/tensor/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/linear/reduce.h"
#include "kernels/optimizer/adamw.h"
#include "runtime/device/launch.h"

Optimizer::Optimizer(Parameters& parameters, Device device, const OptimizerRule& rule, Stream stream)
    : Optimizer(parameters, device, rule, stream, whole_slab(parameters.slab_floats()), nullptr) {}

Optimizer::Optimizer(Parameters& parameters, Device device, const OptimizerRule& rule, Stream stream,
                     Shard shard, SumOverRanks sum_over_ranks)
    : parameters_(parameters),
      rule_(rule),
      device_(device),
      stream_(stream),
      shard_(std::move(shard)),
      segments_(segments_of(parameters, shard_)),
      sum_over_ranks_(std::move(sum_over_ranks)),
      squared_norm_(device,
                    static_cast<std::size_t>(1 + SIZE_ON(device, squared_norm_workspace)) * sizeof(double)) {
    const std::size_t bytes = shard_.floats * sizeof(float);
    first_moment_ = Memory(device, bytes);
    second_moment_ = Memory(device, bytes);
    if (rule.ema_decay > 0) average_ = Memory(device, bytes);
}

void Optimizer::start_average() {
    if (average_.size() > 0) pack_shard(device_, stream_, shard_, average(), parameters_.values());
}

double Optimizer::update(std::int64_t step, float learning_rate) {
    auto* const device_norm = reinterpret_cast<double*>(squared_norm_.data());
    fill_on_device(device_, device_norm, 0, sizeof(double), stream_);
    for (const Segment& segment : segments_)
        LAUNCH_ON(device_, stream_, squared_norm_accumulate, device_norm, device_norm + 1,
                  segment.parameter->gradient + segment.begin, segment.count);
    double squared_norm = 0;
    copy_from_device(device_, &squared_norm, device_norm, sizeof(double), stream_);
    if (sum_over_ranks_) {
        sum_over_ranks_(squared_norm);
        copy_to_device(device_, device_norm, &squared_norm, sizeof(double), stream_);
    }
    if (!std::isfinite(squared_norm)) return squared_norm;
    const auto t = static_cast<double>(step + 1);
    AdamW adamw{learning_rate, rule_.beta1, rule_.beta2, rule_.epsilon, 0, 0, 0, rule_.max_norm, device_norm};
    adamw.correction1 = static_cast<float>(1 - std::pow(static_cast<double>(rule_.beta1), t));
    adamw.correction2 = static_cast<float>(1 - std::pow(static_cast<double>(rule_.beta2), t));
    for (const Segment& segment : segments_) {
        const Parameter& parameter = *segment.parameter;
        adamw.weight_decay = rule_.decays_all || parameter.decays() ? rule_.weight_decay : 0.0f;
        LAUNCH_ON(device_, stream_, adamw_update, parameters_.values() + parameter.offset + segment.begin,
                  parameter.rounded == nullptr ? nullptr : parameter.rounded + segment.begin,
                  first_moment() + segment.place, second_moment() + segment.place,
                  parameter.gradient + segment.begin, segment.count, adamw);
    }
    parameters_.expire_packed();
    if (rule_.ema_decay > 0)
        for (const Piece& piece : shard_.pieces)
            LAUNCH_ON(device_, stream_, ema_update, average() + piece.place,
                      parameters_.values() + piece.offset, static_cast<std::int64_t>(piece.count),
                      rule_.ema_decay);
    return std::sqrt(squared_norm);
}

float LearningRateSchedule::at(std::int64_t step) const {
    if (step < warmup_steps) return peak * static_cast<float>(step + 1) / static_cast<float>(warmup_steps);
    if (!cosine || steps <= warmup_steps) return peak;
    const double progress =
        static_cast<double>(std::min(step, steps) - warmup_steps) / static_cast<double>(steps - warmup_steps);
    return peak * static_cast<float>(0.5 * (1 + std::cos(std::numbers::pi * progress)));
}
