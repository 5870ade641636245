#include "data/text/utf8.h"

#include <cstddef>
#include <cstdint>

namespace {

constexpr char32_t replacement = 0xFFFD;

// What may follow a first byte: the number of further bytes, and the bounds of the first of those; the others
// are 80 to BF (the Unicode standard, table 3-7).
struct Sequence {
    int further;
    std::uint8_t least, most;
};

Sequence sequence_of(std::uint8_t first) {
    if (first < 0xC2 || first > 0xF4) return {0, 0, 0};
    if (first < 0xE0) return {1, 0x80, 0xBF};
    if (first < 0xF0) {
        const auto least = static_cast<std::uint8_t>(first == 0xE0 ? 0xA0 : 0x80);
        return {2, least, static_cast<std::uint8_t>(first == 0xED ? 0x9F : 0xBF)};
    }
    const auto least = static_cast<std::uint8_t>(first == 0xF0 ? 0x90 : 0x80);
    return {3, least, static_cast<std::uint8_t>(first == 0xF4 ? 0x8F : 0xBF)};
}

// The code point at `at`, which moves behind it.
char32_t decode_one(std::string_view bytes, std::size_t& at) {
    const auto first = static_cast<std::uint8_t>(bytes[at++]);
    if (first < 0x80) return first;
    Sequence sequence = sequence_of(first);
    if (sequence.further == 0) return replacement;
    char32_t code = first & (0x3F >> sequence.further);
    for (int i = 0; i < sequence.further; ++i) {
        if (at == bytes.size()) return replacement;
        const auto byte = static_cast<std::uint8_t>(bytes[at]);
        if (byte < sequence.least || byte > sequence.most) return replacement;
        code = code << 6 | (byte & 0x3F);
        ++at;
        sequence.least = 0x80;
        sequence.most = 0xBF;
    }
    return code;
}

}  // namespace

std::u32string decode_utf8(std::string_view bytes) {
    std::u32string text;
    text.reserve(bytes.size());
    for (std::size_t at = 0; at < bytes.size();) text += decode_one(bytes, at);
    return text;
}

std::string encode_utf8(std::u32string_view text) {
    std::string bytes;
    bytes.reserve(text.size());
    for (const char32_t code : text) {
        const int further = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
        constexpr char32_t marks[] = {0, 0xC0, 0xE0, 0xF0};
        bytes += static_cast<char>(marks[further] | code >> (6 * further));
        for (int i = further - 1; i >= 0; --i) bytes += static_cast<char>(0x80 | (code >> (6 * i) & 0x3F));
    }
    return bytes;
}
