// Cleaning of a caption before it is split into words, as CLIP's tokenizers do it (OpenAI,
// clip/simple_tokenizer.py: basic_clean, whitespace_clean, lower), in three steps.
#pragma once

#include <string>
#include <string_view>

// What ftfy.fix_text repairs (ftfy 6.3), line by line until nothing changes: HTML entities, unless a < stands
// in this line or one before; C1 control characters, taken for Windows-1252; ligatures, full and half width
// forms; curly quotation marks; line ends; terminal escapes; control characters; Normalization Form C. Its
// guess at text that was decoded wrongly (fix_encoding: "cafÃ©") is left out. The time is linear in the
// length but for entities of entities (&amp;amp;amp;), of which each round opens one.
std::u32string repair_text(std::u32string_view text);

// Runs of white space as one space, none at the ends.
std::u32string collapse_spaces(std::u32string_view text);

// Lower case; a capital sigma at the end of a word becomes the final one (the Unicode standard, section
// 3.13).
std::u32string lower_case(std::u32string_view text);
