#include "models/nat/search/finite_differences.h"

#include <algorithm>
#include <utility>

#include "runtime/base/error.h"

FiniteDifferences::FiniteDifferences(SearchSpace space, const Strategy& start, std::int64_t updates,
                                     const FiniteDifferenceSettings& settings)
    : SearchMethod(std::move(space), start, updates, 1), settings_(settings), velocity_(iterate().size()) {
    require_positive(settings.ratio_step, "the difference of ratios");
    require_positive(settings.step, "the difference");
    require_positive(settings.learning_rates.ratios, "the learning rate of ratios");
    require_positive(settings.learning_rates.others, "the learning rate");
    if (settings.gradient_clamp) require_positive(*settings.gradient_clamp, "the clamp of gradients");
    if (!(settings.momentum >= 0 && settings.momentum < 1))
        fail_usage("the momentum of a search is {}, expected 0 to below 1", settings.momentum);
}

double FiniteDifferences::probe(std::size_t coordinate) const {
    const double step = space().is_ratio(coordinate) ? settings_.ratio_step : settings_.step;
    return space().clamp_probe(coordinate, iterate()[coordinate] + step);
}

std::vector<SearchPoint> FiniteDifferences::probes() const {
    std::vector<SearchPoint> points;
    for (const std::size_t i : space().searched()) {
        points.push_back({fmt::format("grad_est_{}_stp_{}", i, update()), iterate()});
        points.back().x[i] = probe(i);
    }
    return points;
}

void FiniteDifferences::advance(std::span<const double> objectives) {
    std::vector<double> next = iterate();
    for (std::size_t n = 0; n < objectives.size(); ++n) {
        const std::size_t i = space().searched()[n];
        double gradient = (objectives[n] - objective().value()) / (probe(i) - iterate()[i]);
        if (settings_.gradient_clamp)
            gradient = std::clamp(gradient, -*settings_.gradient_clamp, *settings_.gradient_clamp);
        velocity_[i] = (update() == 0 ? 0 : settings_.momentum * velocity_[i]) + gradient;
        const LearningRates& rates = settings_.learning_rates;
        next[i] -= (space().is_ratio(i) ? rates.ratios : rates.others) * velocity_[i];
    }
    set_iterate(std::move(next));
}

NumberLists FiniteDifferences::settings() const {
    NumberLists lists{{"steps", {settings_.ratio_step, settings_.step}},
                      {"learning_rates", {settings_.learning_rates.ratios, settings_.learning_rates.others}},
                      {"momentum", {settings_.momentum}},
                      {"gradient_clamp", {}}};
    if (settings_.gradient_clamp) lists["gradient_clamp"] = {*settings_.gradient_clamp};
    return lists;
}
