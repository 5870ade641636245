#include "models/nat/search/spsa.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/base/error.h"

Spsa::Spsa(SearchSpace space, const Strategy& start, std::int64_t updates, const SpsaSettings& settings)
    : SearchMethod(std::move(space), start, updates, settings.iterate_every),
      settings_(settings),
      key_(random_key(settings.seed, "search/spsa")),
      a_(settings.a) {
    require_positive(settings.scales.ratios, "the scale of ratios");
    require_positive(settings.scales.others, "the scale");
    require_positive(settings.c, "the probes' distance c");
    require_positive(settings.first_move, "the first move");
    require_positive(settings.largest_move, "the largest move");
    require_positive(static_cast<double>(settings.pairs), "the number of pairs");
    require_positive(static_cast<double>(settings.calibration_pairs), "the number of first pairs");
    if (!(settings.a >= 0 && settings.A >= 0 && std::isfinite(settings.a + settings.A)))
        fail_usage("the gain of SPSA is {} / (k + 1 + {})^0.602, expected numbers of 0 or more", settings.a,
                   settings.A);
    set_iterate(iterate());
}

std::int64_t Spsa::pairs() const {
    return a_ > 0 ? settings_.pairs : std::max(settings_.pairs, settings_.calibration_pairs);
}

double Spsa::gain(double a) const {
    return a / std::pow(static_cast<double>(update()) + 1 + settings_.A, 0.602);
}

double Spsa::width() const {
    return settings_.c / std::pow(static_cast<double>(update()) + 1, 0.101);
}

std::optional<LearningRates> Spsa::learning_rates() const {
    if (a_ == 0) return std::nullopt;
    const auto& [ratios, others] = settings_.scales;
    return LearningRates{gain(a_) * ratios * ratios, gain(a_) * others * others};
}

std::vector<double> Spsa::probe(std::int64_t pair, double sign) const {
    std::vector<double> x = iterate();
    const auto first = static_cast<std::uint64_t>(pair) * x.size();
    for (const std::size_t i : space().searched()) {
        const double direction = random_uniform(key_, first + i, step()) < 0.5f ? -1 : 1;
        x[i] = space().clamp(i, x[i] + sign * direction * width() * scale(i));
    }
    return x;
}

std::vector<SearchPoint> Spsa::probes() const {
    std::vector<SearchPoint> points;
    for (std::int64_t pair = 0; pair < pairs(); ++pair) {
        points.push_back({fmt::format("spsa_{}_plus_stp_{}", pair, update()), probe(pair, 1)});
        points.push_back({fmt::format("spsa_{}_minus_stp_{}", pair, update()), probe(pair, -1)});
    }
    return points;
}

void Spsa::advance(std::span<const double> objectives) {
    const auto count = static_cast<double>(pairs());
    std::vector<double> gradient(iterate().size());
    double length = 0;  // of the gradient, estimated
    for (std::int64_t pair = 0; pair < pairs(); ++pair) {
        const auto values = objectives.subspan(static_cast<std::size_t>(2 * pair), 2);
        const double difference = values[0] - values[1];
        const std::vector<double> plus = probe(pair, 1), minus = probe(pair, -1);
        for (const std::size_t i : space().searched())
            gradient[i] += difference * scale(i) / (plus[i] - minus[i]) / count;
        length += std::abs(difference) / (2 * width()) / count;
    }
    if (a_ == 0) {
        if (!(length > 0))
            fail("search by spsa: the objective is the same at all {} first points, so no gain follows",
                 objectives.size());
        a_ = settings_.first_move * std::pow(1 + settings_.A, 0.602) / length;
    }
    std::vector<double> next = iterate();
    for (const std::size_t i : space().searched()) {
        const double most = settings_.largest_move;
        next[i] -= scale(i) * std::clamp(gain(a_) * gradient[i], -most, most);
    }
    set_iterate(std::move(next));
}

NumberLists Spsa::settings() const {
    return {{"seed", seed_numbers(settings_.seed)},
            {"scales", {settings_.scales.ratios, settings_.scales.others}},
            {"pairs", {static_cast<double>(settings_.pairs)}},
            {"gains", {settings_.a, settings_.A, settings_.c}},
            {"moves", {settings_.first_move, settings_.largest_move}},
            {"calibration_pairs", {static_cast<double>(settings_.calibration_pairs)}}};
}
