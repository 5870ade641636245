// Character references of HTML: &amp; &#233; &#xE9;. Both functions replace those of the text once; what
// stands in the place of one is not searched again.
#pragma once

#include <string>
#include <string_view>

// As HTML5 has it (html.unescape of Python): the ; may be missing behind numbers and behind the names that
// HTML5 lists without; the longest prefix of an unknown name that is a name counts. Numbers of Windows-1252's
// 80 to 9F are characters of that; 0, surrogates and numbers above 10FFFF become U+FFFD; other control
// characters and noncharacters vanish.
std::u32string unescape_html(std::u32string_view text);

// As ftfy has it: only with a ; and only what is known as a whole, by more names (&EACUTE;).
std::u32string repair_entities(std::u32string_view text);

// A C1 control character as Windows-1252 has it, where it has one there; other characters as they are.
char32_t as_windows_1252(char32_t code);
