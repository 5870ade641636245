#include "data/text/html_entities.h"

#include <algorithm>
#include <array>
#include <optional>

#include "data/text/text_tables.h"

namespace {

// A reference without its &: its text and the number of characters that it took.
struct Reference {
    std::u32string text;
    std::size_t length;
};

// -1 for what is no digit of the base.
int digit_of(char32_t code, int base) {
    int digit = -1;
    if (code >= U'0' && code <= U'9') digit = static_cast<int>(code - U'0');
    if (code >= U'a' && code <= U'f') digit = static_cast<int>(code - U'a') + 10;
    if (code >= U'A' && code <= U'F') digit = static_cast<int>(code - U'A') + 10;
    return digit < base ? digit : -1;
}

bool is_letter_or_digit(char32_t code) {
    return (code >= U'0' && code <= U'9') || (code >= U'a' && code <= U'z') || (code >= U'A' && code <= U'Z');
}

// The text of a number, which HTML5 corrects.
std::u32string character_text(char32_t number) {
    if (number >= 0x80 && number <= 0x9F) return {as_windows_1252(number)};
    if (number == 0 || (number >= 0xD800 && number <= 0xDFFF) || number > 0x10FFFF) return {0xFFFD};
    const bool control =
        number <= 0x8 || number == 0xB || (number >= 0xE && number <= 0x1F) || number == 0x7F;
    const bool noncharacter = (number >= 0xFDD0 && number <= 0xFDEF) || (number & 0xFFFE) == 0xFFFE;
    return control || noncharacter ? std::u32string() : std::u32string{number};
}

// #123 or #x7B at the start of the text, with the ; if there is one.
std::optional<Reference> number_at(std::u32string_view text) {
    if (!text.starts_with(U'#')) return std::nullopt;
    const bool hexadecimal = text.size() > 1 && (text[1] == U'x' || text[1] == U'X');
    const int base = hexadecimal ? 16 : 10;
    const std::size_t first = hexadecimal ? 2 : 1;
    std::size_t end = first;
    char32_t number = 0;
    constexpr char32_t above_all = 0x110000;
    for (; end < text.size() && digit_of(text[end], base) >= 0; ++end) {
        const auto digit = static_cast<char32_t>(digit_of(text[end], base));
        number = std::min<char32_t>(number * static_cast<char32_t>(base) + digit, above_all);
    }
    if (end == first) return std::nullopt;
    if (end < text.size() && text[end] == U';') ++end;
    return Reference{character_text(number), end};
}

// For the search among the names, which are ASCII: a character that no name has stands for every other.
std::string as_ascii(std::u32string_view text) {
    std::string narrow(text.size(), '\x7F');
    std::ranges::transform(text, narrow.begin(),
                           [](char32_t code) { return code < 0x7F ? static_cast<char>(code) : '\x7F'; });
    return narrow;
}

const Entity* find_entity(std::string_view name) {
    const auto& entities = text_tables().entities;
    const auto found = entities.find(name);
    return found == entities.end() ? nullptr : &found->second;
}

const Entity* find_html_entity(std::string_view name) {
    const Entity* entity = find_entity(name);
    return entity != nullptr && !entity->repair_only ? entity : nullptr;
}

// amp; or amp at the start of the text, also with more behind it (ampersand).
std::optional<Reference> name_at(std::u32string_view text) {
    constexpr std::size_t longest = 32, shortest_prefix = 2;
    std::size_t end = std::min(text.find_first_of(U"\t\n\f <&#;"), text.size());
    end = std::min(end, longest);
    if (end == 0) return std::nullopt;
    if (end < text.size() && text[end] == U';') ++end;
    const std::string name = as_ascii(text.substr(0, end));
    if (const Entity* entity = find_html_entity(name)) return Reference{entity->text, end};
    for (std::size_t length = end - 1; length >= shortest_prefix; --length)
        if (const Entity* entity = find_html_entity(std::string_view(name).substr(0, length)))
            return Reference{entity->text + std::u32string(text.substr(length, end - length)), end};
    return Reference{U'&' + std::u32string(text.substr(0, end)), end};
}

// name; or #number; at the start of the text, if it is known as a whole. &#59; stays: ftfy takes a ; in the
// result for the one that ends the reference.
std::optional<Reference> whole_reference_at(std::u32string_view text) {
    constexpr std::size_t longest = 24;
    const std::size_t first = text.starts_with(U'#') ? 1 : 0;
    std::size_t end = first;
    while (end < text.size() && end - first <= longest && is_letter_or_digit(text[end])) ++end;
    if (end == first || end - first > longest || end == text.size() || text[end] != U';') return std::nullopt;
    ++end;
    if (first == 1) {
        auto number = number_at(text.substr(0, end));
        return number && number->length == end && number->text != U";" ? number : std::nullopt;
    }
    const Entity* entity = find_entity(as_ascii(text.substr(0, end)));
    return entity != nullptr ? std::optional(Reference{entity->text, end}) : std::nullopt;
}

std::u32string replace_references(std::u32string_view text, const auto& reference_at) {
    std::u32string replaced;
    replaced.reserve(text.size());
    for (std::size_t at = 0; at < text.size(); ++at) {
        const auto reference = text[at] == U'&' ? reference_at(text.substr(at + 1)) : std::nullopt;
        if (reference) {
            replaced += reference->text;
            at += reference->length;
        } else {
            replaced += text[at];
        }
    }
    return replaced;
}

}  // namespace

std::u32string unescape_html(std::u32string_view text) {
    return replace_references(text, [](std::u32string_view behind) -> std::optional<Reference> {
        return behind.starts_with(U'#') ? number_at(behind) : name_at(behind);
    });
}

std::u32string repair_entities(std::u32string_view text) {
    return replace_references(text, whole_reference_at);
}

char32_t as_windows_1252(char32_t code) {
    // https://encoding.spec.whatwg.org/index-windows-1252.txt
    static constexpr std::array<char32_t, 32> characters = {
        0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};
    return code >= 0x80 && code <= 0x9F ? characters[code - 0x80] : code;
}
