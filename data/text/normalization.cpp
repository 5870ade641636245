#include "data/text/normalization.h"

#include <algorithm>

#include "data/text/text_tables.h"

namespace {

// Hangul: syllable = syllables + (leading * vowels + vowel) * trailings + trailing; trailing 0 is none.
namespace hangul {
constexpr char32_t syllables = 0xAC00, leadings = 0x1100, vowels = 0x1161, trailings = 0x11A7;
constexpr char32_t leading_count = 19, vowel_count = 21, trailing_count = 28;
constexpr char32_t syllable_count = leading_count * vowel_count * trailing_count;
}  // namespace hangul

bool is_within(char32_t code, char32_t first, char32_t count) {
    return code >= first && code < first + count;
}

int combining_class(char32_t code) {
    const auto& classes = text_tables().combining_classes;
    const auto found = classes.find(code);
    return found == classes.end() ? 0 : found->second;
}

void append_decomposed(char32_t code, std::u32string& text) {
    using namespace hangul;
    if (is_within(code, syllables, syllable_count)) {
        const char32_t index = code - syllables, trailing = index % trailing_count;
        text += leadings + index / trailing_count / vowel_count;
        text += vowels + index / trailing_count % vowel_count;
        if (trailing > 0) text += trailings + trailing;
        return;
    }
    const auto& table = text_tables().decompositions;
    const auto found = table.find(code);
    if (found == table.end()) {
        text += code;
        return;
    }
    for (const char32_t part : found->second) append_decomposed(part, text);
}

// Runs of characters of classes above 0 are sorted by class.
void order_marks(std::u32string& text) {
    for (auto at = text.begin(); at != text.end();) {
        const auto is_mark = [](char32_t code) { return combining_class(code) > 0; };
        const auto first = std::find_if(at, text.end(), is_mark);
        at = std::find_if_not(first, text.end(), is_mark);
        std::stable_sort(first, at,
                         [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    }
}

// The composite of a pair, 0 if there is none.
char32_t composite(char32_t first, char32_t second) {
    using namespace hangul;
    if (is_within(first, leadings, leading_count) && is_within(second, vowels, vowel_count))
        return syllables + ((first - leadings) * vowel_count + second - vowels) * trailing_count;
    if (is_within(first, syllables, syllable_count) && (first - syllables) % trailing_count == 0 &&
        is_within(second, trailings + 1, trailing_count - 1))
        return first + second - trailings;
    const auto& table = text_tables().compositions;
    const auto found = table.find(pair_key(first, second));
    return found == table.end() ? 0 : found->second;
}

// A character joins the last one of class 0 unless one between them has a class of 0 or of at least its own.
std::u32string compose(std::u32string_view text) {
    std::u32string composed;
    std::size_t starter = std::u32string::npos;
    int last_class = 0;
    for (const char32_t code : text) {
        const int own_class = combining_class(code);
        const bool adjacent = starter + 1 == composed.size();
        if (starter != std::u32string::npos && (adjacent || (last_class > 0 && last_class < own_class))) {
            if (const char32_t both = composite(composed[starter], code); both != 0) {
                composed[starter] = both;
                continue;
            }
        }
        if (own_class == 0) starter = composed.size();
        last_class = own_class;
        composed += code;
    }
    return composed;
}

}  // namespace

std::u32string normalize_nfc(std::u32string_view text) {
    std::u32string decomposed;
    decomposed.reserve(text.size());
    for (const char32_t code : text) append_decomposed(code, decomposed);
    order_marks(decomposed);
    return compose(decomposed);
}
