#include "models/nat/strategy_heuristics.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <numbers>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/nearest_word.h"

namespace {

constexpr std::string_view fixed = "fixed:";

// The four schedules' values at one step.
struct Step {
    double ratio, remask_temperature, sampling_temperature, guidance_scale;
};
// The largest guidance scale and temperature.
struct Extent {
    double scale, temperature;
};
// t counts from 0; `done` is (t + 1) / T.
using Schedule = Step (*)(double t, double T, double done, const Extent& most);

double cosine_ratio(double done) {
    return std::cos(std::numbers::pi / 2 * done);
}

struct Heuristic {
    const char* name;
    Schedule step;
    TokenOrder order = TokenOrder::confidence;
    Confidence confidence = Confidence::log_probability;
    CountRule counts = CountRule::floor;
};

Step cosine_step(double, double, double done, const Extent& most) {
    return {cosine_ratio(done), most.temperature * (1 - done), 1, most.scale * done};
}
Step muse_step(double t, double T, double done, const Extent& most) {
    const double temperature = most.temperature * (1 - done);
    return {cosine_ratio(done), temperature, temperature, most.scale * (t / T)};
}
Step enat_step(double t, double T, double done, const Extent& most) {
    return {cosine_ratio(done), 1.5 * (1 - done), std::max(6 * (1 - done), 1e-3), most.scale * (t / T)};
}
Step halton_step(double, double, double done, const Extent& most) {
    return {std::acos(done) / (std::numbers::pi / 2), 0, 1, most.scale};
}

constexpr std::array heuristics{
    Heuristic{"cosine", cosine_step}, Heuristic{"maskgit", cosine_step},
    Heuristic{"muse", muse_step, TokenOrder::confidence, Confidence::logit},
    Heuristic{"enat", enat_step, TokenOrder::confidence, Confidence::log_probability, CountRule::exact},
    Heuristic{"halton", halton_step, TokenOrder::halton, Confidence::log_probability, CountRule::ceiling}};

// Of "fixed:RATIO".
double fixed_ratio(std::string_view name) {
    const std::string_view digits = name.substr(fixed.size());
    double ratio = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), ratio);
    if (error != std::errc() || end != digits.data() + digits.size() || !(ratio >= 0 && ratio < 1))
        fail_usage("strategy {}: expected a ratio from 0 to below 1, as in fixed:0.5", name);
    return ratio;
}

[[noreturn]] void refuse_name(std::string_view word) {
    std::vector<std::string> names{std::string(fixed)};
    std::ranges::transform(heuristics, std::back_inserter(names), &Heuristic::name);
    const std::string nearest = nearest_word(word, names);
    fail_usage("strategy {}: not known, expected {}{}", word, strategy_names(),
               nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest));
}

Strategy schedules_of(const Heuristic& heuristic, std::int64_t steps, const Extent& most) {
    Strategy strategy;
    strategy.order = heuristic.order;
    strategy.confidence = heuristic.confidence;
    strategy.counts = heuristic.counts;
    for (std::int64_t t = 0; t < steps; ++t) {
        const auto T = static_cast<double>(steps);
        const Step step = heuristic.step(static_cast<double>(t), T, static_cast<double>(t + 1) / T, most);
        if (t + 1 < steps) {
            strategy.ratios.push_back(step.ratio);
            strategy.remask_temperatures.push_back(step.remask_temperature);
        }
        strategy.sampling_temperatures.push_back(step.sampling_temperature);
        strategy.guidance_scales.push_back(step.guidance_scale);
    }
    return strategy;
}

}  // namespace

Strategy named_strategy(std::string_view name, std::int64_t steps, double largest_guidance_scale,
                        double largest_temperature) {
    if (!is_strategy_name(name)) refuse_name(name);
    if (steps < 1 || steps > max_decoding_steps)
        fail_usage("{} steps, expected 1 to {}", steps, max_decoding_steps);
    if (!std::isfinite(static_cast<float>(largest_guidance_scale)))
        fail_usage("a guidance scale of {}, expected a finite number", largest_guidance_scale);
    const Extent most{largest_guidance_scale, largest_temperature};
    if (name.starts_with(fixed)) {
        const double ratio = fixed_ratio(name);
        Strategy strategy = schedules_of(heuristics.front(), steps, most);
        std::ranges::fill(strategy.ratios, ratio);
        return strategy;
    }
    return schedules_of(*std::ranges::find(heuristics, name, &Heuristic::name), steps, most);
}

bool has_temperature(std::string_view name) {
    return name != "enat" && name != "halton";
}

bool is_strategy_name(std::string_view word) {
    return word.starts_with(fixed) ||
           std::ranges::any_of(heuristics, [&](const Heuristic& each) { return word == each.name; });
}

std::string strategy_names() {
    return "cosine, muse, enat, halton or fixed:RATIO";
}
