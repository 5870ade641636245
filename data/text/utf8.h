// UTF-8 and code points.
#pragma once

#include <string>
#include <string_view>

// U+FFFD stands for each invalid sequence: for the longest part that begins a valid one, else for one byte
// (the Unicode standard, section 3.9, "substitution of maximal subparts", as Python and browsers do).
std::u32string decode_utf8(std::string_view bytes);

// Code points must be valid and no surrogates.
std::string encode_utf8(std::u32string_view text);
