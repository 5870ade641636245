// Configurations in JSON: objects with known keys only, and values of the expected types. Errors are one line
// that starts with `source`. The JSON library is heavy: this header is for source files, and parsing and writing
// are compiled once, in json_keys.cpp.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>

#include "runtime/base/error.h"

// Discarded for what is no JSON. Throws Error for a key twice in one object: which of two values counts is for
// every reader to guess.
nlohmann::json parse_json_or_discard(std::string_view text, std::string_view source);
// The same for long lists of data, of which the check for keys would take the square of their length: discarded
// for what is no JSON, and of a key twice in one object the last one counts.
nlohmann::json parse_data_or_discard(std::string_view text);
// Throws UsageError, with the position for malformed JSON, and for a key twice in one object.
nlohmann::json parse_json(std::string_view text, std::string_view source);
// Throws UsageError unless the text is a JSON object whose keys are all among `known`.
nlohmann::json parse_json_object(std::string_view text, std::string_view source,
                                 std::initializer_list<std::string_view> known);
// Keys in the order of the text; discarded for what is no JSON.
nlohmann::ordered_json parse_ordered_json(std::string_view text);

// Text of a value, on one line or, with `indent` >= 0, indented by level. Throws nlohmann::json::type_error for
// strings that are not UTF-8.
std::string json_text(const nlohmann::json& value, int indent = -1);
std::string json_text(const nlohmann::ordered_json& value, int indent = -1);
// The same for names of files and folders, and for settings from a file: invalid UTF-8 is replaced.
std::string json_of_names(const nlohmann::json& names);
std::string json_of_settings(const nlohmann::ordered_json& settings);
// A value as quoted in messages. Nested lists are not written out: they may be nested as deeply as a file is
// long, and writing them recurses.
std::string shown(const nlohmann::json& value);

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
