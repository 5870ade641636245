// Configurations in JSON: objects whose keys are all known, with values of the expected types. What is wrong
// with one is one line that starts with `source`. Includes the JSON library, which is heavy: for source
// files.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>

#include "runtime/error.h"

// A whole file. Throws UsageError if it cannot be opened.
inline std::string read_json_text(const std::filesystem::path& path) {
    std::ifstream file(path);
    if (!file) fail_usage("{}: cannot be opened", path.string());
    return {std::istreambuf_iterator<char>(file), {}};
}

// Throws UsageError for what is no JSON object or has a key that is not among `known`.
inline nlohmann::json parse_json_object(std::string_view text, std::string_view source,
                                        std::initializer_list<std::string_view> known) {
    nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded() || !json.is_object()) fail_usage("{}: not a JSON object", source);
    for (const auto& [key, value] : json.items())
        if (std::ranges::find(known, key) == known.end())
            fail_usage("{}: the key {} is not known", source, key);
    return json;
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

// For numbers, booleans, strings and lists of them. Leaves `value` as it is where the key is missing and not
// required. Throws UsageError.
template <class T>
void read_key(const nlohmann::json& json, const char* key, T& value, bool required, std::string_view source) {
    if (!json.contains(key)) {
        if (required) fail_usage("{}: the key {} is missing", source, key);
        return;
    }
    if (!holds_a<T>(json.at(key)))
        fail_usage("{}: {} is {}, which is not of the expected type", source, key, json.at(key).dump());
    json.at(key).get_to(value);
}
