#include "runtime/base/json_keys.h"

#include <functional>
#include <set>
#include <vector>

namespace {

// Counts, as a callback of the JSON library's parser, the keys of each object that is open.
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

}  // namespace

nlohmann::json parse_json_or_discard(std::string_view text, std::string_view source) {
    RepeatedKey repeated;
    nlohmann::json json = nlohmann::json::parse(text, std::ref(repeated), false);
    if (!repeated.message().empty()) fail("{}: {}", source, repeated.message());
    return json;
}

nlohmann::json parse_data_or_discard(std::string_view text) {
    return nlohmann::json::parse(text, nullptr, false);
}

nlohmann::json parse_json(std::string_view text, std::string_view source) {
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

nlohmann::json parse_json_object(std::string_view text, std::string_view source,
                                 std::initializer_list<std::string_view> known) {
    nlohmann::json json = parse_json(text, source);
    if (!json.is_object()) fail_usage("{}: not a JSON object", source);
    for (const auto& [key, value] : json.items())
        if (std::ranges::find(known, key) == known.end())
            fail_usage("{}: the key {} is not known", source, key);
    return json;
}

std::string shown(const nlohmann::json& value) {
    const bool nested = value.is_structured() && std::ranges::any_of(value, &nlohmann::json::is_structured);
    return nested ? "nested" : value.dump();
}

nlohmann::ordered_json parse_ordered_json(std::string_view text) {
    return nlohmann::ordered_json::parse(text, nullptr, false);
}

std::string json_text(const nlohmann::json& value, int indent) {
    return value.dump(indent);
}

std::string json_text(const nlohmann::ordered_json& value, int indent) {
    return value.dump(indent);
}

std::string json_of_names(const nlohmann::json& names) {
    return names.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string json_of_settings(const nlohmann::ordered_json& settings) {
    return settings.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}
