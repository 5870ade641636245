#include "models/nat/search/search_method.h"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "runtime/base/json_keys.h"

namespace {

constexpr std::int64_t most_updates = std::numeric_limits<std::uint32_t>::max();

NumberLists read_lists(const nlohmann::json& json, const char* key, std::string_view source) {
    NumberLists lists;
    if (!json.contains(key) || !json.at(key).is_object()) fail_usage("{}: {} is no object", source, key);
    for (const auto& item : json.at(key).items())
        read_key(json.at(key), item.key().c_str(), lists[item.key()], true, source);
    return lists;
}

void require_same(const std::string& there, const std::string& here, std::string_view what,
                  std::string_view source) {
    if (there != here) fail_usage("{}: {} is {} there, {} here", source, what, there, here);
}

std::string text_of(const std::vector<double>& numbers) {
    return json_text(nlohmann::json(numbers));
}

void require_same_settings(const NumberLists& there, const NumberLists& here, std::string_view source) {
    for (const auto& [name, numbers] : here) {
        if (!there.contains(name)) fail_usage("{}: the setting {} is missing", source, name);
        require_same(text_of(there.at(name)), text_of(numbers), name, source);
    }
    for (const auto& each : there)
        if (!here.contains(each.first)) fail_usage("{}: the setting {} is not known", source, each.first);
}

// "objective" has one number or none.
void require_same_lengths(const NumberLists& there, const NumberLists& here, std::string_view source) {
    for (const auto& [name, numbers] : here) {
        const auto found = there.find(name);
        if (found == there.end()) fail_usage("{}: {} is missing", source, name);
        const bool fits =
            name == "objective" ? found->second.size() <= 1 : found->second.size() == numbers.size();
        if (!fits)
            fail_usage("{}: {} has {} numbers, expected {}", source, name, found->second.size(),
                       numbers.size());
    }
    if (there.size() != here.size()) fail_usage("{}: variables of another method", source);
}

std::int64_t read_count(const NumberLists& lists, const char* name, std::int64_t most,
                        std::string_view source) {
    const double value = lists.at(name).front();
    if (!(value >= 0 && value <= static_cast<double>(most) && value == std::floor(value)))
        fail_usage("{}: {} is {}, expected a whole number up to {}", source, name, value, most);
    return static_cast<std::int64_t>(value);
}

}  // namespace

SearchMethod::SearchMethod(SearchSpace space, const Strategy& start, std::int64_t updates,
                           std::int64_t iterate_every)
    : space_(std::move(space)),
      updates_(updates),
      iterate_every_(iterate_every),
      start_(space_.point(start)),
      iterate_(start_) {
    if (updates < 1 || updates > most_updates)
        fail_usage("{} updates of a search, expected 1 to {}", updates, most_updates);
    if (iterate_every < 1)
        fail_usage("a search that is evaluated every {} updates, expected 1 or more", iterate_every);
}

void SearchMethod::set_iterate(std::vector<double> x) {
    for (const std::size_t i : space_.searched()) x[i] = space_.clamp(i, x[i]);
    iterate_ = std::move(x);
}

bool SearchMethod::asks_for_iterate() const {
    return !objective_ && (update_ % iterate_every_ == 0 || update_ >= updates_);
}

std::vector<SearchPoint> SearchMethod::ask() const {
    std::vector<SearchPoint> points;
    if (asks_for_iterate()) points.push_back({fmt::format("stp_{}", update_), iterate_});
    if (update_ >= updates_) return points;
    for (SearchPoint& probe : probes()) points.push_back(std::move(probe));
    return points;
}

void SearchMethod::tell(std::span<const double> objectives) {
    const std::vector<SearchPoint> points = ask();
    if (objectives.size() != points.size())
        throw std::logic_error(
            fmt::format("search: {} objectives of {} points", objectives.size(), points.size()));
    for (std::size_t n = 0; n < points.size(); ++n)
        if (!std::isfinite(objectives[n]))
            fail("search by {}: the objective of {} is {}, expected a finite number", name(), points[n].phase,
                 objectives[n]);
    const std::optional<double> objective = objective_;
    const bool has_iterate = asks_for_iterate();
    if (has_iterate) objective_ = objectives.front();
    if (update_ < updates_) {
        try {
            advance(objectives.subspan(has_iterate ? 1 : 0));
        } catch (...) {
            objective_ = objective;
            throw;
        }
        ++update_;
        objective_.reset();
    }
    evaluations_ += static_cast<std::int64_t>(objectives.size());
}

NumberLists SearchMethod::all_settings() const {
    NumberLists lists = settings();
    lists["start"] = start_;
    lists["iterate_every"] = {static_cast<double>(iterate_every_)};
    return lists;
}

NumberLists SearchMethod::all_variables() const {
    NumberLists lists = variables();
    lists["iterate"] = iterate_;
    lists["update"] = {static_cast<double>(update_)};
    lists["evaluations"] = {static_cast<double>(evaluations_)};
    lists["objective"] = objective_ ? std::vector{*objective_} : std::vector<double>{};
    return lists;
}

std::string SearchMethod::state() const {
    nlohmann::ordered_json json;
    json["method"] = name();
    json["searched"] = space_.searched_names();
    json["settings"] = all_settings();
    json["variables"] = all_variables();
    return json_text(json);
}

void SearchMethod::restore(std::string_view text, std::string_view source) {
    const nlohmann::json json =
        parse_json_object(text, source, {"method", "searched", "settings", "variables"});
    std::string method, searched;
    read_key(json, "method", method, true, source);
    read_key(json, "searched", searched, true, source);
    require_same(method, std::string(name()), "the method", source);
    require_same(searched, space_.searched_names(), "the list of searched schedules", source);
    require_same_settings(read_lists(json, "settings", source), all_settings(), source);
    const NumberLists lists = read_lists(json, "variables", source);
    require_same_lengths(lists, all_variables(), source);
    const std::int64_t update = read_count(lists, "update", most_updates, source);
    const std::int64_t evaluations = read_count(lists, "evaluations", std::int64_t{1} << 53, source);
    set_variables(lists);
    update_ = update;
    evaluations_ = evaluations;
    iterate_ = lists.at("iterate");
    objective_.reset();
    if (!lists.at("objective").empty()) objective_ = lists.at("objective").front();
}

std::vector<double> seed_numbers(std::uint64_t seed) {
    return {static_cast<double>(seed >> 32), static_cast<double>(seed & 0xFFFFFFFFu)};
}

void require_positive(double value, std::string_view name) {
    if (!(value > 0 && std::isfinite(value)))
        fail_usage("{} of a search is {}, expected a positive number", name, value);
}
