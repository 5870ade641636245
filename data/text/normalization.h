// Normalization Form C: canonical decomposition, canonical ordering, canonical composition (the Unicode
// standard, section 3.11; Hangul syllables by the formula of section 3.12), of Unicode 14.
#pragma once

#include <string>
#include <string_view>

std::u32string normalize_nfc(std::u32string_view text);
