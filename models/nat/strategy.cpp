#include "models/nat/strategy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

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

NumberLists json_lists(std::string_view text, std::string_view source) {
    const nlohmann::json json = parse_json(text, source);
    if (!json.is_object()) fail_usage("{}: not a JSON object", source);
    NumberLists lists;
    for (const auto& [key, value] : json.items()) {
        const auto is_number = [](const nlohmann::json& each) { return each.is_number(); };
        if (!value.is_array() || !std::all_of(value.begin(), value.end(), is_number))
            fail_usage("{}: {} is not a list of numbers", source, key);
        lists[key] = value.get<std::vector<double>>();
    }
    return lists;
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

Strategy maskgit_strategy(std::int64_t steps, double largest_guidance_scale) {
    if (steps < 1 || steps > max_decoding_steps)
        fail_usage("{} steps, expected 1 to {}", steps, max_decoding_steps);
    if (!std::isfinite(static_cast<float>(largest_guidance_scale)))
        fail_usage("a guidance scale of {}, expected a finite number", largest_guidance_scale);
    Strategy strategy;
    for (std::int64_t t = 0; t < steps; ++t) {
        const double done = static_cast<double>(t + 1) / static_cast<double>(steps);
        if (t + 1 < steps) {
            strategy.ratios.push_back(std::cos(std::numbers::pi / 2 * done));
            strategy.remask_temperatures.push_back(4.5 * (1 - done));
        }
        strategy.sampling_temperatures.push_back(1);
        strategy.guidance_scales.push_back(largest_guidance_scale * done);
    }
    return strategy;
}

Strategy parse_strategy(std::string_view text, std::string_view source) {
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first != std::string_view::npos && text[first] == '{')
        return from_lists(json_lists(text, source), &Schedule::key, source);
    return from_lists(parse_number_lists(text, source), &Schedule::published_key, source);
}

Strategy read_strategy(const std::filesystem::path& path) {
    return parse_strategy(read_text_file(path), path.string());
}

std::string to_json(const Strategy& strategy) {
    nlohmann::ordered_json json;
    for (const Schedule& schedule : schedules) json[schedule.key] = strategy.*schedule.values;
    return json_text(json);
}
