#include "data/text/text_cleaning.h"

#include "data/text/html_entities.h"
#include "data/text/normalization.h"
#include "data/text/text_tables.h"

namespace {

constexpr char32_t escape = 0x1B;

bool is_removed(char32_t code) {
    return code <= 0x8 || code == 0xB || (code >= 0xE && code <= 0x1F) || code == 0x7F ||
           (code >= 0x206A && code <= 0x206F) || code == 0xFEFF || (code >= 0xFFF9 && code <= 0xFFFC);
}

char32_t straight_quote(char32_t code) {
    if (code == 0x2BC || (code >= 0x2018 && code <= 0x201B)) return U'\'';
    if (code >= 0x201C && code <= 0x201F) return U'"';
    return code;
}

// Windows-1252, ligatures and widths, quotation marks, line ends. U+0085 is an ellipsis in Windows-1252, thus
// never the line end that it is in Unicode.
std::u32string replace_characters(std::u32string_view text) {
    const CodePointMap& replacements = text_tables().replacements;
    std::u32string replaced;
    replaced.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char32_t code = as_windows_1252(text[i]);
        if (const auto found = replacements.find(code); found != replacements.end()) {
            for (const char32_t part : found->second) replaced += straight_quote(part);
        } else if (code == U'\r') {
            replaced += U'\n';
            if (i + 1 < text.size() && text[i + 1] == U'\n') ++i;
        } else if (code == 0x2028 || code == 0x2029) {
            replaced += U'\n';
        } else {
            replaced += straight_quote(code);
        }
    }
    return replaced;
}

// Of ESC [ 1;31 m at the start of the text, 0 if it is none.
std::size_t terminal_escape_length(std::u32string_view text) {
    if (text.size() < 2 || text[0] != escape || text[1] != U'[') return 0;
    const std::size_t end = text.find_first_not_of(U"0123456789;", 2);
    if (end == std::u32string_view::npos) return 0;
    const char32_t last = text[end];
    return (last >= U'a' && last <= U'z') || (last >= U'A' && last <= U'Z') ? end + 1 : 0;
}

std::u32string remove_controls(std::u32string_view text) {
    std::u32string kept;
    kept.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (const std::size_t length = terminal_escape_length(text.substr(i)); length > 0)
            i += length - 1;
        else if (!is_removed(text[i]))
            kept += text[i];
    }
    return kept;
}

std::u32string repair_line(std::u32string line, bool with_entities) {
    while (true) {
        const std::u32string unescaped = with_entities ? repair_entities(line) : line;
        std::u32string repaired = normalize_nfc(remove_controls(replace_characters(unescaped)));
        if (repaired == line) return line;
        line = std::move(repaired);
    }
}

// A capital sigma at `at` is the last letter of a word: the next characters on both sides that are not
// ignored (apostrophes, marks) are a letter with case before it, and none behind it.
bool ends_word(std::u32string_view text, std::size_t at) {
    const TextTables& tables = text_tables();
    std::size_t before = at, behind = at + 1;
    while (before > 0 && tables.case_ignorable.contains(text[before - 1])) --before;
    if (before == 0 || !tables.cased.contains(text[before - 1])) return false;
    while (behind < text.size() && tables.case_ignorable.contains(text[behind])) ++behind;
    return behind == text.size() || !tables.cased.contains(text[behind]);
}

}  // namespace

std::u32string repair_text(std::u32string_view text) {
    std::u32string repaired;
    bool with_entities = true;
    while (!text.empty()) {
        const std::u32string_view line = text.substr(0, std::min(text.find(U'\n'), text.size() - 1) + 1);
        text.remove_prefix(line.size());
        with_entities = with_entities && line.find(U'<') == std::u32string_view::npos;
        repaired += repair_line(std::u32string(line), with_entities);
    }
    return repaired;
}

std::u32string collapse_spaces(std::u32string_view text) {
    std::u32string collapsed;
    collapsed.reserve(text.size());
    bool between = false;
    for (const char32_t code : text) {
        const bool space = text_tables().spaces.contains(code);
        if (!space && between && !collapsed.empty()) collapsed += U' ';
        if (!space) collapsed += code;
        between = space;
    }
    return collapsed;
}

std::u32string lower_case(std::u32string_view text) {
    constexpr char32_t capital_sigma = 0x3A3, final_sigma = 0x3C2;
    const CodePointMap& lower = text_tables().lower;
    std::u32string lowered;
    lowered.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto found = lower.find(text[i]);
        if (text[i] == capital_sigma && ends_word(text, i))
            lowered += final_sigma;
        else if (found != lower.end())
            lowered += found->second;
        else
            lowered += text[i];
    }
    return lowered;
}
