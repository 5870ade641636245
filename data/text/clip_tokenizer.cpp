#include "data/text/clip_tokenizer.h"

#include <algorithm>
#include <array>

#include "data/text/embedded_files.h"
#include "data/text/html_entities.h"
#include "data/text/text_cleaning.h"
#include "data/text/text_tables.h"
#include "data/text/utf8.h"
#include "runtime/base/error.h"

namespace {

constexpr char32_t long_s = 0x17F, iota_subscript = 0x345;

// Length of `word` at the start of the text, 0 if it does not stand there. The patterns of the published
// tokenizers ignore case, so that a long s counts as s. A special with a long s is thus one piece, yet no
// special.
std::size_t length_of(std::u32string_view text, std::string_view word) {
    const auto same = [](char32_t code, char expected) {
        return code == static_cast<char32_t>(expected) || (code == long_s && expected == 's');
    };
    const bool found =
        text.size() >= word.size() &&
        std::equal(word.begin(), word.end(), text.begin(), [&](char a, char32_t b) { return same(b, a); });
    return found ? word.size() : 0;
}

std::size_t contraction_length(std::u32string_view text) {
    static constexpr std::array<std::string_view, 7> contractions = {"'s", "'t",  "'re", "'ve",
                                                                     "'m", "'ll", "'d"};
    for (const std::string_view contraction : contractions)
        if (const std::size_t length = length_of(text, contraction); length > 0) return length;
    return 0;
}

std::size_t run_length(std::u32string_view text, const auto& belongs) {
    return static_cast<std::size_t>(std::ranges::find_if_not(text, belongs) - text.begin());
}

bool is_letter(char32_t code) {
    return text_tables().letters.contains(code);
}

bool is_number(char32_t code) {
    return text_tables().numbers.contains(code);
}

// U+0345 is no sign either: ignoring case makes it an iota in the published patterns, yet not a letter.
bool separates(char32_t code) {
    return code == iota_subscript || text_tables().spaces.contains(code);
}

bool is_sign(char32_t code) {
    return !separates(code) && !is_letter(code) && !is_number(code);
}

// Of the piece that starts the text, which no separator does: the first of a special, a contraction, a run of
// letters, one number, a run of signs.
std::size_t piece_length(std::u32string_view text, const ClipVariant& variant) {
    for (const std::string_view special : {variant.start, variant.end})
        if (const std::size_t length = length_of(text, special); length > 0) return length;
    if (const std::size_t length = contraction_length(text); length > 0) return length;
    if (is_letter(text.front())) return run_length(text, is_letter);
    return is_number(text.front()) ? 1 : run_length(text, is_sign);
}

// The specials of the text, spelled exactly, and what lies between them.
std::vector<std::u32string> cut_at_specials(std::u32string_view text, const ClipVariant& variant) {
    const std::array<std::u32string, 2> specials = {decode_utf8(variant.start), decode_utf8(variant.end)};
    std::vector<std::u32string> parts;
    std::size_t behind_last = 0;
    for (std::size_t at = 0; at < text.size(); ++at)
        for (const std::u32string& special : specials) {
            if (!text.substr(at).starts_with(special)) continue;
            parts.emplace_back(text.substr(behind_last, at - behind_last));
            parts.push_back(special);
            behind_last = at + special.size();
        }
    parts.emplace_back(text.substr(behind_last));
    return parts;
}

}  // namespace

const ClipVariant& clip_variant(std::string_view flag, std::string_view name) {
    static constexpr std::array<ClipVariant, 3> variants = {clip_openai, clip_open_clip, clip_hf};
    const auto found = std::ranges::find(variants, name, &ClipVariant::name);
    if (found == variants.end())
        fail_usage("{} {}: no such tokenizer; expected openai, open_clip or hf", flag, name);
    return *found;
}

ClipTokenizer::ClipTokenizer(const ClipVariant& variant, std::int64_t merges)
    : variant_(variant), pairs_(embedded_clip_merges(), merges) {}

std::vector<std::u32string> ClipTokenizer::cleaned_parts(std::string_view text) const {
    std::vector<std::u32string> parts{decode_utf8(text)};
    if (variant_.cuts_at_specials) parts = cut_at_specials(parts.front(), variant_);
    for (std::u32string& part : parts) {
        part = repair_text(part);
        if (variant_.unescapes_html) part = unescape_html(unescape_html(part));
        part = lower_case(collapse_spaces(part));
    }
    return parts;
}

std::string ClipTokenizer::clean(std::string_view text) const {
    std::u32string joined;
    for (const std::u32string& part : cleaned_parts(text)) {
        if (!joined.empty() && !part.empty()) joined += U' ';
        joined += part;
    }
    return encode_utf8(joined);
}

void ClipTokenizer::append_piece(std::string_view piece, std::vector<std::int32_t>& ids) const {
    if (piece == variant_.start)
        ids.push_back(start());
    else if (piece == variant_.end)
        ids.push_back(end());
    else
        pairs_.append_word(piece, ids);
}

std::vector<std::int32_t> ClipTokenizer::encode(std::string_view text) const {
    std::vector<std::int32_t> ids{start()};
    for (const std::u32string& part : cleaned_parts(text)) {
        for (std::u32string_view rest = part; !rest.empty();) {
            const bool separator = separates(rest.front());
            const std::size_t length = separator ? 1 : piece_length(rest, variant_);
            if (!separator) append_piece(encode_utf8(rest.substr(0, length)), ids);
            rest.remove_prefix(length);
        }
    }
    ids.push_back(end());
    return ids;
}

std::vector<std::int32_t> ClipTokenizer::encode_truncated(std::string_view text) const {
    std::vector<std::int32_t> ids = encode(text);
    ids.resize(std::min(ids.size(), clip_context_length));
    ids.back() = end();
    return ids;
}

std::vector<std::int32_t> ClipTokenizer::encode_padded(std::string_view text) const {
    std::vector<std::int32_t> ids = encode_truncated(text);
    ids.resize(clip_context_length, padding());
    return ids;
}
