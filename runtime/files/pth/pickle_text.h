// Numbers and texts as the oldest pickle protocols write them: as lines of characters.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

// The decimal number that all of `text` is, if it is one that T holds.
template <class T>
std::optional<T> parse_number(std::string_view text) {
    T value{};
    if (text.starts_with('+')) text.remove_prefix(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// Python's escapes in protocol 0: \uXXXX and \UXXXXXXXX in UNICODE; \n, \', \xXX and so on in STRING. Others
// stay as they are.
std::string decode_escapes(std::string_view text, bool unicode);
