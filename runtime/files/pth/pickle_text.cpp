#include "runtime/files/pth/pickle_text.h"

#include <cstddef>
#include <cstdint>

namespace {

// `digits` hexadecimal digits at `position`, if present.
std::optional<std::uint32_t> parse_hexadecimal(std::string_view text, std::size_t position,
                                               std::size_t digits) {
    if (text.size() < position + digits) return std::nullopt;
    std::uint32_t value = 0;
    const char* end = text.data() + position + digits;
    const auto [stop, error] = std::from_chars(text.data() + position, end, value, 16);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

void append_utf8(std::string& text, std::uint32_t code) {
    const auto put = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
        put(0xc0 | code >> 6);
    } else if (code < 0x10000) {
        put(0xe0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3f));
    } else {
        put(0xf0 | (code >> 18 & 7));
        put(0x80 | (code >> 12 & 0x3f));
        put(0x80 | (code >> 6 & 0x3f));
    }
    put(0x80 | (code & 0x3f));
}

}  // namespace

std::string decode_escapes(std::string_view text, bool unicode) {
    static constexpr std::string_view letters = "abfnrtv\\'\"", meanings = "\a\b\f\n\r\t\v\\'\"";
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char kind = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
        const std::size_t digits = unicode ? (kind == 'u' ? 4 : kind == 'U' ? 8 : 0) : (kind == 'x' ? 2 : 0);
        const auto code = digits > 0 ? parse_hexadecimal(text, i + 2, digits) : std::nullopt;
        const std::size_t letter = unicode || kind == '\0' ? std::string_view::npos : letters.find(kind);
        if (code) {
            if (unicode)
                append_utf8(decoded, *code);
            else
                decoded += static_cast<char>(*code);
            i += 1 + digits;
        } else if (letter != std::string_view::npos) {
            decoded += meanings[letter];
            ++i;
        } else {
            decoded += text[i];
        }
    }
    return decoded;
}
