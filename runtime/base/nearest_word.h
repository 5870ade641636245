// The word that a misspelt one was meant to be.
#pragma once

#include <span>
#include <string>
#include <string_view>

// The candidate with the fewest edits from `word` (a letter inserted, left out, replaced, or two neighbours
// swapped; of equally near ones the first), if they are at most a third of its letters, or one. Otherwise the
// only candidate that begins with `word`; "" if there is none.
std::string nearest_word(std::string_view word, std::span<const std::string> candidates);
