#include "data/records/class_names.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <set>

#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/base/nearest_word.h"

namespace {

constexpr std::string_view by_name = "name:", by_number = "number:";

std::optional<std::int64_t> whole_number(std::string_view word) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (end != word.data() + word.size() || error == std::errc::invalid_argument) return std::nullopt;
    return error == std::errc() ? number : -1;  // beyond 64 bits it is no class's
}

// What a word may mean.
struct Readings {
    std::vector<std::int64_t> named;     // classes of that name
    std::optional<std::int64_t> number;  // the word is this number, there may be no such class
};

Readings readings_of(std::string_view word, std::span<const std::string> names) {
    Readings readings;
    const auto add_named = [&](std::string_view name) {
        for (std::size_t i = 0; i < names.size(); ++i)
            if (names[i] == name) readings.named.push_back(static_cast<std::int64_t>(i));
    };
    add_named(word);
    if (word.starts_with(by_name)) add_named(word.substr(by_name.size()));
    const bool prefixed = word.starts_with(by_number);
    readings.number = whole_number(prefixed ? word.substr(by_number.size()) : word);
    return readings;
}

[[noreturn]] void refuse_ambiguous(std::string_view flag, std::string_view word, const Readings& readings,
                                   std::span<const std::string> names) {
    const auto name_of = [&](std::int64_t number) {
        const auto i = static_cast<std::size_t>(number);
        return i < names.size() ? names[i] : std::string();
    };
    if (readings.named.size() > 1)
        fail_usage("{} {}: the classes {} and {} are called that: number:{} and number:{} say which", flag,
                   word, readings.named[0], readings.named[1], readings.named[0], readings.named[1]);
    fail_usage(
        "{} {}: class {} is called {}, and class {} is called {}: name:{} means the first, number:{} "
        "the second",
        flag, word, readings.named.front(), name_of(readings.named.front()), *readings.number,
        name_of(*readings.number), name_of(readings.named.front()), *readings.number);
}

[[noreturn]] void refuse_unknown(std::string_view flag, std::string_view word, std::int64_t class_num,
                                 const Readings& readings, std::span<const std::string> names) {
    if (readings.number)
        fail_usage("{} {}: the model has the classes 0 to {}{}", flag, word, class_num - 1,
                   names.empty() ? "" : ", and none of that name");
    const std::string nearest = nearest_word(word, names);
    fail_usage("{} {}: the model has no class of that name, {}", flag, word,
               names.empty()     ? "nor any other: ask by number"
               : nearest.empty() ? "build/sample info lists them"
                                 : fmt::format("did you mean {}?", nearest));
}

// As a checkpoint holds them: in JSON, where what is no UTF-8 has been replaced.
std::vector<std::string> as_in_checkpoints(std::span<const std::string> names) {
    return parse_json_or_discard(json_of_names(std::vector<std::string>(names.begin(), names.end())),
                                 "class names");
}

void require_single_names(const std::string& source, const std::vector<std::string>& names) {
    std::set<std::string_view> seen;
    for (const std::string& name : names)
        if (!seen.insert(name).second)
            fail_usage("{}: two classes are called {}: --ignore-class-names takes classes by number", source,
                       name);
}

}  // namespace

std::int64_t class_number(std::string_view flag, std::string_view word, std::int64_t class_num,
                          std::span<const std::string> names) {
    if (class_num == 0) fail_usage("{} {}: the model has no classes", flag, word);
    const Readings readings = readings_of(word, names);
    const bool is_number = readings.number && *readings.number >= 0 && *readings.number < class_num;
    if (readings.named.empty() && !is_number) refuse_unknown(flag, word, class_num, readings, names);
    const std::int64_t found = readings.named.empty() ? *readings.number : readings.named.front();
    if (readings.named.size() > 1 || (is_number && *readings.number != found))
        refuse_ambiguous(flag, word, readings, names);
    return found;
}

std::vector<std::int64_t> class_numbers(std::string_view flag, std::string_view list, std::int64_t class_num,
                                        std::span<const std::string> names) {
    std::vector<std::int64_t> numbers;
    std::size_t begin = 0;
    while (true) {
        const std::size_t first_comma = std::min(list.find(',', begin), list.size());
        std::size_t end = first_comma;
        for (std::size_t comma = first_comma; comma < list.size();) {
            comma = std::min(list.find(',', comma + 1), list.size());
            const std::string_view part = list.substr(begin, comma - begin);
            const std::string_view name = part.starts_with(by_name) ? part.substr(by_name.size()) : part;
            if (std::ranges::count(names, name) > 0) end = comma;
        }
        numbers.push_back(class_number(flag, list.substr(begin, end - begin), class_num, names));
        if (end == list.size()) return numbers;
        begin = end + 1;
    }
}

std::vector<std::int64_t> match_classes(const ClassNames& model, const ClassNames& data, bool by_number) {
    std::vector<std::int64_t> numbers(std::max(model.names.size(), data.names.size()));
    std::iota(numbers.begin(), numbers.end(), 0);
    if (by_number || model.names.empty() || data.names.empty()) return numbers;
    if (std::ranges::equal(model.names, data.names)) return numbers;
    const std::vector<std::string> ours = as_in_checkpoints(model.names),
                                   theirs = as_in_checkpoints(data.names);
    if (ours == theirs) return numbers;
    if (ours.size() != theirs.size())
        fail_usage("{}: {} classes, {} has {}", data.source, theirs.size(), model.source, ours.size());
    for (std::size_t i = 0; i < theirs.size(); ++i) {
        const auto found = std::ranges::find(ours, theirs[i]);
        if (found == ours.end())
            fail_usage(
                "{}: class {} is called {}, {} has no class of that name, its class {} is called {}; "
                "--ignore-class-names takes classes by number",
                data.source, i, theirs[i], model.source, i, ours[i]);
        numbers[i] = found - ours.begin();
    }
    require_single_names(model.source, ours);
    require_single_names(data.source, theirs);
    return numbers;
}

void require_same_classes(const ClassNames& model, const ClassNames& data) {
    if (!std::ranges::is_sorted(match_classes(model, data, false)))
        fail_usage("{}: has the classes of {} in another order: give the old file, or another --out",
                   data.source, model.source);
}

void relabel(std::span<std::int32_t> labels, std::span<const std::int64_t> numbers) {
    for (std::int32_t& label : labels)
        if (label >= 0) label = static_cast<std::int32_t>(numbers[static_cast<std::size_t>(label)]);
}
