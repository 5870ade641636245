#include "train/search/strategy_measures.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/base/live_line.h"
#include "runtime/files/atomic_file.h"
#include "runtime/files/safetensors.h"
#include "runtime/files/text_file.h"

namespace {

constexpr std::array<std::pair<const char*, double Figures::*>, 6> named_figures{
    {{"frechet", &Figures::frechet},
     {"kernel", &Figures::kernel},
     {"inception_score", &Figures::inception_score},
     {"precision", &Figures::precision},
     {"recall", &Figures::recall},
     {"second_frechet", &Figures::second_frechet}}};

std::uint32_t checksum_of(const Strategy& strategy) {
    const std::string text = to_json(strategy);
    return checksum(std::as_bytes(std::span(text)));
}

}  // namespace

MeanError mean_error(std::span<const double> values) {
    if (values.empty()) return {};
    const auto n = static_cast<double>(values.size());
    double mean = 0, squares = 0;
    for (const double value : values) mean += value / n;
    for (const double value : values) squares += (value - mean) * (value - mean);
    return {mean, n > 1 ? std::sqrt(squares / (n - 1) / n) : 0};
}

std::string text_of(const MeanError& value, int digits) {
    if (std::isnan(value.mean)) return "-";
    return fmt::format("{:.{}f} +- {:.{}f}", value.mean, digits, value.error, digits);
}

MeanError mean_error(std::span<const Figures> figures, double Figures::*figure) {
    std::vector<double> values;
    for (const Figures& each : figures) values.push_back(each.*figure);
    return mean_error(values);
}

MeanError mean_error(std::span<const Figures> figures, const ObjectiveTerms& terms) {
    std::vector<double> values;
    for (const Figures& each : figures) values.push_back(terms.of(each));
    return mean_error(values);
}

StrategyMeasures::StrategyMeasures(std::filesystem::path file, std::uint32_t settings, const Comm& comm)
    : file_(std::move(file)), settings_(settings), comm_(comm) {
    if (comm_.rank() == 0 && std::filesystem::exists(file_)) read();
}

void StrategyMeasures::read() {
    const std::string text = read_text_file(file_), source = file_.string();
    std::size_t start = 0, line = 1;
    for (std::size_t end; (end = text.find('\n', start)) != std::string::npos; start = end + 1, ++line) {
        const std::string where = fmt::format("{}: line {}", source, line);
        const nlohmann::json json = parse_json_or_discard(text.substr(start, end - start), where);
        if (!json.is_object()) fail("{}: not the figures of a strategy", where);
        std::uint32_t settings = 0, model = 0, strategy = 0;
        std::uint64_t seed = 0;
        read_key(json, "settings", settings, true, where);
        read_key(json, "model", model, true, where);
        read_key(json, "strategy", strategy, true, where);
        read_key(json, "seed", seed, true, where);
        Figures figures;
        for (const auto& [name, member] : named_figures) read_key(json, name, figures.*member, false, where);
        if (settings == settings_) known_[{model, strategy, seed}] = figures;
    }
    // A process that was killed may have left a part of a line.
    if (start < text.size()) std::filesystem::resize_file(file_, start);
}

void StrategyMeasures::keep(const Key& key, const Figures& figures) {
    known_[key] = figures;
    const auto& [model, strategy, seed] = key;
    nlohmann::ordered_json json{
        {"settings", settings_}, {"model", model}, {"strategy", strategy}, {"seed", seed}};
    for (const auto& [name, member] : named_figures)
        if (!std::isnan(figures.*member)) json[name] = figures.*member;
    if (!std::filesystem::exists(file_)) {
        make_folder(file_.parent_path());
        AtomicFile file(file_);
        file.commit();
    }
    append_to_file(file_, json_text(json) + "\n");
}

std::optional<std::vector<std::vector<Figures>>> StrategyMeasures::of(StrategyObjective& objective,
                                                                      std::uint32_t model,
                                                                      std::span<const Strategy> strategies,
                                                                      std::span<const std::uint64_t> seeds,
                                                                      const std::string& what) {
    std::vector<std::vector<Figures>> all(strategies.size(), std::vector<Figures>(seeds.size()));
    // Strategy and seed of what is still to be measured, by seed and number of steps.
    std::map<std::pair<std::size_t, std::int64_t>, std::vector<std::size_t>> missing;
    for (std::size_t s = 0; s < strategies.size(); ++s)
        for (std::size_t i = 0; i < seeds.size(); ++i) {
            const auto found = known_.find({model, checksum_of(strategies[s]), seeds[i]});
            std::uint8_t is_known = found != known_.end();
            if (is_known) all[s][i] = found->second;
            comm_.broadcast(&is_known, 1);
            if (is_known)
                comm_.broadcast(&all[s][i], sizeof(Figures));
            else
                missing[{i, strategies[s].steps()}].push_back(s);
        }
    std::int64_t to_draw = 0, drawn = 0;
    for (const auto& [group, numbers] : missing)
        to_draw += static_cast<std::int64_t>(numbers.size()) * objective.rule().images;
    LiveLine line;
    for (const auto& [group, numbers] : missing) {
        const auto& [i, steps] = group;
        // What fits a batch is kept before the next is drawn.
        const auto most = static_cast<std::size_t>(objective.most_at_once(steps));
        for (std::size_t first = 0; first < numbers.size(); first += most) {
            const std::span part = std::span(numbers).subspan(first, std::min(most, numbers.size() - first));
            std::vector<Strategy> together;
            for (const std::size_t s : part) together.push_back(strategies[s]);
            const auto figures = objective.measure(together, seeds[i], [&](std::int64_t done, std::int64_t) {
                line.show(fmt::format("{}: {} of {} pictures", what, drawn + done, to_draw));
            });
            if (!figures) return std::nullopt;
            for (std::size_t k = 0; k < part.size(); ++k) {
                all[part[k]][i] = (*figures)[k];
                if (comm_.rank() == 0) keep({model, checksum_of(together[k]), seeds[i]}, (*figures)[k]);
            }
            drawn += static_cast<std::int64_t>(part.size()) * objective.rule().images;
        }
    }
    return all;
}
