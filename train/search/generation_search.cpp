#include "train/search/generation_search.h"

#include <algorithm>

#include "models/nat/search/search_methods.h"
#include "runtime/base/error.h"
#include "train/progress.h"
#include "train/stop_signals.h"

namespace {

std::unique_ptr<SearchMethod> make_method(const GenerationSearchRule& rule, const Strategy& start) {
    SearchSettings settings;
    settings.updates = rule.updates;
    settings.spsa.seed = settings.cma_es.seed = rule.seed;
    std::string name = rule.method;
    std::ranges::replace(name, '-', '_');
    return make_search_method(name, SearchSpace(start.steps(), parse_search_groups(rule.schedules)), start,
                              settings);
}

}  // namespace

std::uint64_t update_seed(std::uint64_t seed, std::int64_t update) {
    return seed * 0x9e3779b97f4a7c15u + static_cast<std::uint64_t>(update);
}
std::uint64_t choice_seed(std::uint64_t seed, std::int64_t repeat) {
    return update_seed(seed, repeat) ^ (std::uint64_t{1} << 62);
}
std::uint64_t fresh_seed(std::uint64_t seed, std::int64_t repeat) {
    return ~update_seed(seed, repeat);
}

GenerationSearch::GenerationSearch(const GenerationSearchRule& rule, const std::string& settings,
                                   const std::filesystem::path& folder, const Strategy& start,
                                   StrategyObjective& objective, const Comm& comm)
    : rule_(rule),
      objective_(objective),
      comm_(comm),
      start_(start),
      method_(make_method(rule, start)),
      folder_(folder, comm.rank() == 0) {
    if (folder_.open(*method_, settings, start, drawn_))
        print_text(method_->finished()
                       ? fmt::format("{} has done its {} updates\n", folder.string(), method_->update())
                       : fmt::format("continuing {} after update {}\n", folder.string(), method_->update()));
}

bool GenerationSearch::run() {
    begun_ = std::chrono::steady_clock::now();
    while (!method_->finished() && !comm_.any(stop_signals::requested()))
        if (!update()) break;
    line_.clear();
    if (!method_->finished())
        print_text(fmt::format("stopped after update {}; the same command continues\n", method_->update()));
    return method_->finished();
}

std::vector<Strategy> GenerationSearch::finalists(std::size_t most) const {
    std::vector<Evaluation> lowest = folder_.iterates();
    std::ranges::stable_sort(lowest, {}, &Evaluation::objective);
    lowest.resize(std::min(lowest.size(), most));
    std::vector<double> x = method_->iterate();
    const std::size_t size = x.size();
    for (const Evaluation& each : lowest)
        if (each.x != method_->iterate()) x.insert(x.end(), each.x.begin(), each.x.end());
    std::uint64_t count = x.size();
    comm_.broadcast(&count, sizeof count);
    x.resize(count);
    comm_.broadcast(x.data(), x.size() * sizeof(double));
    std::vector<Strategy> strategies{start_};
    for (std::size_t first = 0; first < x.size(); first += size)
        strategies.push_back(strategy_at(std::span(x).subspan(first, size)));
    return strategies;
}

Strategy GenerationSearch::strategy_at(std::span<const double> x) const {
    Strategy strategy = start_;
    method_->space().assign(x, strategy);
    // Finite differences probe a ratio of 1, which strategy files do not hold; the same number of tokens.
    for (double& ratio : strategy.ratios) ratio = std::min(ratio, 1 - 1e-12);
    return strategy;
}

std::vector<Strategy> GenerationSearch::strategies_at(std::span<const SearchPoint> points) const {
    std::vector<Strategy> strategies;
    for (const SearchPoint& point : points) strategies.push_back(strategy_at(point.x));
    return strategies;
}

void GenerationSearch::say_cost(std::int64_t points, std::int64_t done) {
    if (said_cost_ || done == 0) return;
    said_cost_ = true;
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begun_;
    const std::int64_t images = objective_.rule().images;
    const double each = spent.count() / static_cast<double>(done);
    line_.clear();
    print_text(
        fmt::format("{} of {} numbers in {} steps: an update evaluates {} strategies of {} pictures, {} "
                    "pictures, about {}\n",
                    rule_.method, method_->space().searched().size(), start_.steps(), points, images,
                    points * images, duration_text(each * static_cast<double>(points * images))));
}

bool GenerationSearch::update() {
    const std::vector<SearchPoint> points = method_->ask();
    const std::int64_t update = method_->update();
    const auto count = static_cast<std::int64_t>(points.size());
    const auto values = objective_.evaluate(
        strategies_at(points), update_seed(rule_.seed, update), [&](std::int64_t done, std::int64_t all) {
            say_cost(count, done);
            line_.show(fmt::format("update {}: {} strategies side by side, {} of {} pictures", update, count,
                                   done, all));
        });
    if (!values) return false;
    say_cost(count, count * objective_.rule().images);
    for (std::size_t i = 0; i < points.size(); ++i) {
        drawn_ += objective_.rule().images;
        folder_.append({std::string(method_->name()), update, points[i].phase, points[i].x, (*values)[i],
                        std::nullopt, drawn_, method_->learning_rates()});
    }
    method_->tell(*values);
    folder_.save(*method_, drawn_);
    folder_.draw_curves(*method_);
    say_update(update, points, *values);
    return true;
}

void GenerationSearch::say_update(std::int64_t update, std::span<const SearchPoint> points,
                                  std::span<const double> values) {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begun_;
    line_.clear();
    std::string text = fmt::format("update {}/{}", update, rule_.updates);
    for (std::size_t i = 0; i < points.size(); ++i)
        if (points[i].phase.starts_with("stp_")) text += fmt::format("  objective {:.6g}", values[i]);
    if (folder_.best()) text += fmt::format("  best {:.6g}", folder_.best()->objective);
    print_text(fmt::format("{}  {} pictures, {}\n", text, drawn_, duration_text(spent.count())));
}
