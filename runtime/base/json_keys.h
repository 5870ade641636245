// Configurations in JSON: objects with known keys only, and values of the expected types. Errors are one line
// that starts with `source`. Includes the JSON library, which is heavy: for source files.
#pragma once

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "runtime/base/error.h"

// Counts, as a callback of the JSON library's parser, the keys of each object that is open. Which of two values
// of one key counts is for every reader to guess, so that such text is refused.
class RepeatedKey {
  public:
    bool operator()(int, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
        using Event = nlohmann::json::parse_event_t;
        if (event == Event::object_start) open_.emplace_back();
        if (event == Event::object_end) open_.pop_back();
        if (event == Event::key && !open_.back().insert(parsed.get_ref<const std::string&>()).second &&
            first_.empty())
            first_ = fmt::format("the key {} is given twice", parsed.get_ref<const std::string&>());
        return true;
    }
    // "the key K is given twice", of the first such key, or "".
    const std::string& message() const { return first_; }

  private:
    std::vector<std::set<std::string>> open_;
    std::string first_;
};

// Discarded for what is no JSON. Throws Error for a key twice in one object.
inline nlohmann::json parse_json_or_discard(std::string_view text, std::string_view source) {
    RepeatedKey repeated;
    nlohmann::json json = nlohmann::json::parse(text, std::ref(repeated), false);
    if (!repeated.message().empty()) fail("{}: {}", source, repeated.message());
    return json;
}

// Throws UsageError, with the position for malformed JSON, and for a key twice in one object.
inline nlohmann::json parse_json(std::string_view text, std::string_view source) {
    RepeatedKey repeated;
    nlohmann::json json;
    try {
        json = nlohmann::json::parse(text, std::ref(repeated));
    } catch (const nlohmann::json::parse_error& error) {
        const std::string_view before = text.substr(0, std::min(text.size(), error.byte - (error.byte > 0)));
        const std::size_t line_start = before.rfind('\n') + 1;  // 0 where there is no line break
        fail_usage("{}: not JSON at line {}, column {}", source, std::ranges::count(before, '\n') + 1,
                   before.size() - line_start + 1);
    } catch (const nlohmann::json::out_of_range&) {
        fail_usage("{}: not JSON: a number is beyond the range of double", source);
    }
    if (!repeated.message().empty()) fail_usage("{}: {}", source, repeated.message());
    return json;
}

// Throws UsageError unless the text is a JSON object whose keys are all among `known`.
inline nlohmann::json parse_json_object(std::string_view text, std::string_view source,
                                        std::initializer_list<std::string_view> known) {
    nlohmann::json json = parse_json(text, source);
    if (!json.is_object()) fail_usage("{}: not a JSON object", source);
    for (const auto& [key, value] : json.items())
        if (std::ranges::find(known, key) == known.end())
            fail_usage("{}: the key {} is not known", source, key);
    return json;
}

// A value as quoted in messages. Nested lists are not written out: they may be nested as deeply as a file is
// long, and writing them recurses.
inline std::string shown(const nlohmann::json& value) {
    const bool nested = value.is_structured() && std::ranges::any_of(value, &nlohmann::json::is_structured);
    return nested ? "nested" : value.dump();
}

// Whole numbers where whole numbers are expected: the JSON library would cut 2.5 to 2.
template <class T>
bool holds_a(const nlohmann::json& value) {
    if constexpr (std::is_same_v<T, bool>)
        return value.is_boolean();
    else if constexpr (std::is_same_v<T, std::string>)
        return value.is_string();
    else if constexpr (std::is_integral_v<T>)
        return value.is_number_integer();
    else if constexpr (std::is_floating_point_v<T>)
        return value.is_number();
    else
        return value.is_array() && std::ranges::all_of(value, holds_a<typename T::value_type>);
}

// JSON of names of files and folders: invalid UTF-8, on which the library would throw, is replaced.
inline std::string json_of_names(const nlohmann::json& names) {
    return names.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// A value alone, such as a checkpoint's metadata holds. Throws Error.
template <class T>
void parse_value(std::string_view text, T& value, std::string_view source) {
    const nlohmann::json json = parse_json_or_discard(text, source);
    if (json.is_discarded()) fail("{}: not JSON", source);
    if (!holds_a<T>(json)) fail("{}: it is {}, which is not of the expected type", source, shown(json));
    json.get_to(value);
}

// For numbers, booleans, strings and lists of them. Leaves `value` as it is where the key is missing and not
// required. Throws UsageError.
template <class T>
void read_key(const nlohmann::json& json, const char* key, T& value, bool required, std::string_view source) {
    if (!json.contains(key)) {
        if (required) fail_usage("{}: the key {} is missing", source, key);
        return;
    }
    if (!holds_a<T>(json.at(key)))
        fail_usage("{}: {} is {}, which is not of the expected type", source, key, shown(json.at(key)));
    json.at(key).get_to(value);
}
