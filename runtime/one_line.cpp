#include "runtime/one_line.h"

#include <fmt/format.h>

#include <cstddef>

namespace {

// Bytes of the UTF-8 character that `text` begins with, 0 if it begins with none.
std::size_t character_bytes(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    const std::size_t length = first < 0x80   ? 1
                               : first < 0xc2 ? 0
                               : first < 0xe0 ? 2
                               : first < 0xf0 ? 3
                               : first < 0xf5 ? 4
                                              : 0;
    if (length == 0 || length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    return length;
}

bool is_control(std::string_view character) {
    const auto first = static_cast<unsigned char>(character[0]);
    const bool upper =
        character.size() == 2 && first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
    return first < 0x20 || first == 0x7f || upper;
}

std::string escape(char character) {
    if (character == '\n') return "\\n";
    if (character == '\r') return "\\r";
    if (character == '\t') return "\\t";
    return fmt::format("\\x{:02x}", static_cast<unsigned char>(character));
}

}  // namespace

std::string one_line(std::string_view message) {
    constexpr std::size_t most = 1200, kept = 500;
    if (message.size() > most)
        return one_line(message.substr(0, kept)) + " ... " + one_line(message.substr(message.size() - kept));
    std::string line;
    while (!message.empty()) {
        const std::size_t length = character_bytes(message);
        const std::string_view character = message.substr(0, length == 0 ? 1 : length);
        if (length == 0 || is_control(character))
            for (const char byte : character) line += escape(byte);
        else
            line += character;
        message.remove_prefix(character.size());
    }
    return line;
}
