#include "data/text/text_tables.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>

#include "data/text/embedded_files.h"
#include "runtime/base/error.h"

namespace {

using Words = std::vector<std::string_view>;

Words words_of(std::string_view line) {
    Words words;
    while (!line.empty()) {
        const std::size_t end = std::min(line.find(' '), line.size());
        if (end > 0) words.push_back(line.substr(0, end));
        line.remove_prefix(std::min(end + 1, line.size()));
    }
    return words;
}

char32_t number(std::string_view word, int base) {
    std::uint32_t value = 0;
    std::from_chars(word.data(), word.data() + word.size(), value, base);
    return value;
}

char32_t code_point(std::string_view word) {
    return number(word, 16);
}

std::u32string code_points(const Words& words, std::size_t first) {
    std::u32string text;
    for (std::size_t i = first; i < words.size(); ++i) text += code_point(words[i]);
    return text;
}

void add_decomposition(TextTables& tables, const Words& words) {
    const char32_t code = code_point(words[0]);
    const std::u32string parts = code_points(words, 2);
    if (words[1] == "+") tables.compositions[pair_key(parts[0], parts[1])] = code;
    tables.decompositions[code] = parts;
}

void add_entity(TextTables& tables, std::string_view name, std::u32string text) {
    const bool repair_only = name.starts_with('!');
    if (repair_only) name.remove_prefix(1);
    tables.entities[name] = {std::move(text), repair_only};
}

using AddLine = std::function<void(const Words&)>;

std::map<std::string_view, AddLine> sections_of(TextTables& tables) {
    const auto ranges = [](CodePointSet& set) -> AddLine {
        return [&set](const Words& words) { set.add(code_point(words[0]), code_point(words[1])); };
    };
    const auto map = [](CodePointMap& codes) -> AddLine {
        return [&codes](const Words& words) { codes[code_point(words[0])] = code_points(words, 1); };
    };
    const auto add_class = [&tables](const Words& words) {
        for (char32_t code = code_point(words[0]); code <= code_point(words[1]); ++code)
            tables.combining_classes[code] = static_cast<int>(number(words[2], 10));
    };
    return {
        {"letters", ranges(tables.letters)},
        {"numbers", ranges(tables.numbers)},
        {"space", ranges(tables.spaces)},
        {"lower", map(tables.lower)},
        {"cased", ranges(tables.cased)},
        {"case_ignorable", ranges(tables.case_ignorable)},
        {"ccc", add_class},
        {"decompose", [&tables](const Words& words) { add_decomposition(tables, words); }},
        {"replace", map(tables.replacements)},
        {"entities", [&tables](const Words& words) { add_entity(tables, words[0], code_points(words, 1)); }}};
}

TextTables parse_tables(std::string_view text) {
    TextTables tables;
    const auto sections = sections_of(tables);
    const AddLine* add = nullptr;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (line.starts_with('#')) continue;
        if (line.starts_with('['))
            add = &sections.at(line.substr(1, line.find(']') - 1));
        else
            (*add)(words_of(line));
    }
    return tables;
}

}  // namespace

bool CodePointSet::contains(char32_t code) const {
    const auto after = std::ranges::upper_bound(ranges_, code, {}, &Range::first);
    return after != ranges_.begin() && code <= std::prev(after)->last;
}

const TextTables& text_tables() {
    static const TextTables tables = parse_tables(embedded_text_tables());
    return tables;
}
