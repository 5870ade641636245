#include "models/nat/strategy.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "models/nat/number_lists.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/text_file.h"

namespace {

struct Schedule {
    const char *key, *published_key;
    std::vector<double> Strategy::*values;
    bool every_step;  // T values, otherwise T - 1: the last step masks nothing again
};
constexpr std::array schedules{
    Schedule{"ratios", "manual_ratios", &Strategy::ratios, false},
    Schedule{"remask_temperatures", "manual_temp", &Strategy::remask_temperatures, false},
    Schedule{"sampling_temperatures", "manual_samp_temp", &Strategy::sampling_temperatures, true},
    Schedule{"guidance_scales", "manual_cfg", &Strategy::guidance_scales, true}};

// A list of numbers by name, as either parser gives it.
Strategy from_lists(const NumberLists& lists, const char* Schedule::*key, std::string_view source) {
    Strategy strategy;
    for (const Schedule& schedule : schedules) {
        const auto list = lists.find(schedule.*key);
        if (list == lists.end()) fail_usage("{}: the key {} is missing", source, schedule.*key);
        strategy.*schedule.values = list->second;
    }
    for (const auto& list_of_name : lists) {
        const std::string& name = list_of_name.first;
        if (std::ranges::none_of(schedules, [&](const Schedule& known) { return name == known.*key; }))
            fail_usage("{}: the key {} is not known", source, name);
    }
    strategy.validate(source);
    return strategy;
}

// Words of an enumeration's values in their order, the default first.
template <class E>
struct Choice {
    const char* key;
    E Strategy::*value;
    std::span<const char* const> words;

    const char* word(const Strategy& strategy) const {
        return words[static_cast<std::size_t>(strategy.*value)];
    }
    void read(Strategy& strategy, const nlohmann::json& json, std::string_view source) const {
        if (!json.contains(key)) return;
        const nlohmann::json& given = json.at(key);
        const auto known = std::ranges::find_if(words, [&](const char* each) { return given == each; });
        if (known == words.end())
            fail_usage("{}: {} is {}, expected \"{}\"", source, key, shown(given),
                       fmt::join(words, "\" or \""));
        strategy.*value = static_cast<E>(known - words.begin());
    }
};
constexpr const char *orders[] = {"confidence", "halton"}, *confidences[] = {"log-probability", "logit"},
                     *counts[] = {"floor", "ceiling", "exact"};
constexpr Choice<TokenOrder> order{"order", &Strategy::order, orders};
constexpr Choice<Confidence> confidence{"confidence", &Strategy::confidence, confidences};
constexpr Choice<CountRule> count_rule{"counts", &Strategy::counts, counts};

template <class F>
void for_each_choice(const F& f) {
    f(order);
    f(confidence);
    f(count_rule);
}

Strategy from_json(std::string_view text, std::string_view source) {
    const nlohmann::json json = parse_json(text, source);
    if (!json.is_object()) fail_usage("{}: not a JSON object", source);
    NumberLists lists;
    for (const auto& item : json.items()) {  // no structured binding: clang 14 captures none in lambdas
        const std::string& key = item.key();
        const nlohmann::json& value = item.value();
        bool is_choice = false;
        for_each_choice([&](const auto& choice) { is_choice = is_choice || key == choice.key; });
        if (is_choice) continue;
        const auto is_number = [](const nlohmann::json& each) { return each.is_number(); };
        if (!value.is_array() || !std::all_of(value.begin(), value.end(), is_number))
            fail_usage("{}: {} is not a list of numbers", source, key);
        lists[key] = value.get<std::vector<double>>();
    }
    Strategy strategy = from_lists(lists, &Schedule::key, source);
    for_each_choice([&](const auto& choice) { choice.read(strategy, json, source); });
    return strategy;
}

}  // namespace

bool Strategy::guided() const {
    return std::ranges::any_of(guidance_scales, [](double scale) { return scale != 0; });
}

void Strategy::validate(std::string_view source) const {
    if (steps() < 1 || steps() > max_decoding_steps)
        fail_usage("{}: {} steps, expected 1 to {}", source, steps(), max_decoding_steps);
    for (const Schedule& schedule : schedules) {
        const std::vector<double>& values = this->*schedule.values;
        const auto expected = static_cast<std::size_t>(steps() - (schedule.every_step ? 0 : 1));
        if (values.size() != expected)
            fail_usage("{}: {} has {} values, expected {} for {} steps", source, schedule.key, values.size(),
                       expected, steps());
        for (std::size_t t = 0; t < values.size(); ++t) {
            // As float, the type on the device.
            const float value = static_cast<float>(values[t]);
            if (!std::isfinite(value))
                fail_usage("{}: {}[{}] is {}, expected a finite number", source, schedule.key, t, values[t]);
            if (schedule.values == &Strategy::ratios && !(values[t] >= 0 && values[t] < 1))
                fail_usage("{}: {}[{}] is {}, expected 0 to below 1", source, schedule.key, t, values[t]);
            if (schedule.values != &Strategy::guidance_scales && values[t] < 0)
                fail_usage("{}: {}[{}] is {}, expected at least 0", source, schedule.key, t, values[t]);
        }
    }
}

Strategy parse_strategy(std::string_view text, std::string_view source) {
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first != std::string_view::npos && text[first] == '{') return from_json(text, source);
    return from_lists(parse_number_lists(text, source), &Schedule::published_key, source);
}

Strategy read_strategy(const std::filesystem::path& path) {
    return parse_strategy(read_text_file(path), path.string());
}

std::string to_json(const Strategy& strategy) {
    nlohmann::ordered_json json;
    for (const Schedule& schedule : schedules) json[schedule.key] = strategy.*schedule.values;
    for_each_choice([&](const auto& choice) {
        const char* word = choice.word(strategy);
        if (word != choice.words.front()) json[choice.key] = word;
    });
    return json_text(json);
}
