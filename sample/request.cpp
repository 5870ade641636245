#include "sample/request.h"

#include "runtime/base/json_keys.h"

namespace {

constexpr std::string_view id_key = "id";

// As a command line gives it.
std::string word_of(const std::string& key, const nlohmann::json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_number() || value.is_boolean()) return json_text(value);
    fail_usage("{}: {}, expected a text, a number, true, false, or a list of these", key, shown(value));
}

FlagValues values_of(const std::string& key, const nlohmann::json& value) {
    FlagValues values{key, {}, value.is_array()};
    if (!values.list) {
        values.words.push_back(word_of(key, value));
        return values;
    }
    if (value.empty()) fail_usage("{}: an empty list, expected at least one value", key);
    for (const nlohmann::json& each : value) values.words.push_back(word_of(key, each));
    return values;
}

void read_line(std::string_view line, Request& request) {
    if (line.size() > longest_request) fail_usage("longer than {} bytes", longest_request);
    const nlohmann::json json = parse_json(line, "the request");
    if (!json.is_object()) fail_usage("not a JSON object");
    if (const auto id = json.find(id_key); id != json.end()) {
        if (!id->is_string() && !id->is_number())
            fail_usage("{}: {}, expected a text or a number", id_key, shown(*id));
        request.id = json_text(*id);
    }
    for (const auto& [key, value] : json.items())
        if (key != id_key) request.flags.push_back(values_of(key, value));
}

}  // namespace

Request parse_request(std::string_view line) {
    Request request;
    try {
        read_line(line, request);
    } catch (const Error& error) {
        request.error = error.what();
    }
    return request;
}
