#include "runtime/base/one_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

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

// The characters of a text as they are printed.
std::vector<std::string> printed_characters(std::string_view text) {
    std::vector<std::string> characters;
    while (!text.empty()) {
        const std::size_t length = character_bytes(text);
        const std::string_view character = text.substr(0, length == 0 ? 1 : length);
        std::string& printed = characters.emplace_back();
        if (length == 0 || is_control(character))
            for (const char byte : character) printed += escape(byte);
        else
            printed = character;
        text.remove_prefix(character.size());
    }
    return characters;
}

}  // namespace

std::string one_line(std::string_view message) {
    constexpr std::size_t most = 1200, kept = 500;  // bytes
    const bool cut = message.size() > most;
    auto characters = printed_characters(cut ? message.substr(0, kept) : message);
    if (cut)
        std::ranges::move(printed_characters(message.substr(message.size() - kept)),
                          std::back_inserter(characters));
    std::string line;
    for (const std::string& character : characters) line += character;
    if (!cut && line.size() <= most) return line;
    // Escapes are up to four times as long as the bytes they represent.
    std::string front, back;
    std::size_t first = 0, last = characters.size();
    while (front.size() + characters[first].size() <= kept) front += characters[first++];
    while (back.size() + characters[last - 1].size() <= kept) back = characters[--last] + back;
    return front + " ... " + back;
}
