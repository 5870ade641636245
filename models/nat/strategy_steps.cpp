#include "models/nat/strategy_steps.h"

#include <cmath>

#include "runtime/base/error.h"

namespace {

// The bounds aside.
std::int64_t remasked(const Strategy& strategy, std::size_t t, std::int64_t N) {
    const double ratio = strategy.ratios[t];
    if (strategy.counts == CountRule::ceiling)  // in double, as the Halton scheduler counts the fixed ones
        return N - static_cast<std::int64_t>(std::floor(static_cast<double>(N) * (1 - ratio)));
    return static_cast<std::int64_t>(static_cast<float>(N) * static_cast<float>(ratio));
}

}  // namespace

std::vector<DecodingStep> decoding_steps(const Strategy& strategy, std::int64_t N) {
    std::vector<DecodingStep> steps(static_cast<std::size_t>(strategy.steps()));
    for (std::size_t t = 0; t < steps.size(); ++t) {
        DecodingStep& step = steps[t];
        step.sampling_temperature = static_cast<float>(strategy.sampling_temperatures[t]);
        step.guidance_scale = static_cast<float>(strategy.guidance_scales[t]);
        step.logit_confidence = strategy.confidence == Confidence::logit;
        if (t + 1 == steps.size()) break;
        step.remasked = static_cast<std::int32_t>(remasked(strategy, t, N));
        step.remask_temperature = static_cast<float>(strategy.remask_temperatures[t]);
        step.bounded = strategy.counts != CountRule::exact;
        step.by_rank = strategy.order == TokenOrder::halton;
    }
    return steps;
}

void require_tokens(const Strategy& strategy, std::int64_t N, std::string_view source) {
    if (strategy.steps() > N)
        fail_usage("{}: {} steps, expected at most one for each of the {} tokens", source, strategy.steps(),
                   N);
}

std::vector<std::int64_t> fixed_tokens(const Strategy& strategy, std::int64_t N) {
    std::vector<std::int64_t> fixed;
    std::int64_t masked = N;
    for (const DecodingStep& step : decoding_steps(strategy, N)) {
        const bool last = fixed.size() + 1 == static_cast<std::size_t>(strategy.steps());
        const std::int64_t next = last ? 0 : remasked_count(masked, step);
        fixed.push_back(masked - next);
        masked = next;
    }
    return fixed;
}
