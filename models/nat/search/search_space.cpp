#include "models/nat/search/search_space.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "models/nat/strategy_heuristics.h"
#include "runtime/base/error.h"

namespace {

constexpr double largest_ratio = 0.99, smallest_value = 1e-4;

using Schedule = std::vector<double> Strategy::*;

Schedule schedule_of(SearchGroup group) {
    switch (group) {
        case SearchGroup::ratios:
            return &Strategy::ratios;
        case SearchGroup::remask_temperatures:
            return &Strategy::remask_temperatures;
        case SearchGroup::sampling_temperatures:
            return &Strategy::sampling_temperatures;
        case SearchGroup::guidance_scales:
            break;
    }
    return &Strategy::guidance_scales;
}

// T values, otherwise T - 1: the last step masks nothing again.
bool is_of_every_step(SearchGroup group) {
    return group == SearchGroup::sampling_temperatures || group == SearchGroup::guidance_scales;
}

}  // namespace

std::string_view name_of(SearchGroup group) {
    constexpr std::array<std::string_view, 4> names{"ratios", "remask_temperatures", "sampling_temperatures",
                                                    "guidance_scales"};
    return names[static_cast<std::size_t>(group)];
}

std::vector<SearchGroup> parse_search_groups(std::string_view text) {
    if (text == "all") return {search_groups.begin(), search_groups.end()};
    std::vector<SearchGroup> groups;
    for (std::size_t start = 0; start <= text.size();) {
        const std::size_t end = std::min(text.find(',', start), text.size());
        const std::string_view word = text.substr(start, end - start);
        const auto found = std::ranges::find(search_groups, word, name_of);
        if (found == search_groups.end())
            fail_usage(
                "the schedule '{}' is not known, expected all or some of ratios, remask_temperatures, "
                "sampling_temperatures, guidance_scales, separated by commas",
                word);
        if (std::ranges::find(groups, *found) != groups.end())
            fail_usage("the schedule {} is given twice", word);
        groups.push_back(*found);
        start = end + 1;
    }
    return groups;
}

SearchSpace::SearchSpace(std::int64_t steps, std::span<const SearchGroup> searched) : steps_(steps) {
    if (steps < 1 || steps > max_decoding_steps)
        fail_usage("{} steps, expected 1 to {}", steps, max_decoding_steps);
    for (const SearchGroup group : search_groups) {
        const bool moves = std::ranges::find(searched, group) != searched.end();
        for (std::int64_t t = 0; t < steps - (is_of_every_step(group) ? 0 : 1); ++t) {
            if (moves) searched_.push_back(groups_.size());
            groups_.push_back(group);
        }
    }
    if (searched_.empty()) fail_usage("no schedule to search: one of {} step(s) has no such numbers", steps);
}

std::string SearchSpace::searched_names() const {
    std::string names;
    for (std::size_t n = 0; n < searched_.size(); ++n) {
        const SearchGroup each = group(searched_[n]);
        if (n > 0 && each == group(searched_[n - 1])) continue;
        if (!names.empty()) names += ',';
        names += name_of(each);
    }
    return names;
}

double SearchSpace::lower(std::size_t coordinate) const {
    return is_ratio(coordinate) ? 0 : smallest_value;
}

double SearchSpace::upper(std::size_t coordinate) const {
    return is_ratio(coordinate) ? largest_ratio : std::numeric_limits<double>::infinity();
}

double SearchSpace::clamp(std::size_t coordinate, double value) const {
    return std::clamp(value, lower(coordinate), upper(coordinate));
}

double SearchSpace::clamp_probe(std::size_t coordinate, double value) const {
    return is_ratio(coordinate) ? std::clamp(value, 0.0, 1.0) : std::max(value, smallest_value);
}

std::vector<double> SearchSpace::point(const Strategy& strategy) const {
    if (strategy.steps() != steps_)
        fail_usage("a strategy of {} steps, expected {}", strategy.steps(), steps_);
    strategy.validate("the strategy to start from");
    std::vector<double> x;
    for (const SearchGroup group : search_groups) {
        const std::vector<double>& values = strategy.*schedule_of(group);
        x.insert(x.end(), values.begin(), values.end());
    }
    return x;
}

void SearchSpace::assign(std::span<const double> x, Strategy& strategy) const {
    for (const SearchGroup group : search_groups) (strategy.*schedule_of(group)).clear();
    for (std::size_t i = 0; i < size(); ++i) (strategy.*schedule_of(groups_[i])).push_back(x[i]);
}

Strategy autonat_start(std::int64_t steps) {
    Strategy strategy = named_strategy("cosine", steps, 1);
    for (std::size_t t = 0; t < strategy.remask_temperatures.size(); ++t)
        strategy.remask_temperatures[t] = 1 - static_cast<double>(t) / static_cast<double>(steps);
    return strategy;
}
