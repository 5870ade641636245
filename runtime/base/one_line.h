// Messages as the programs print them.
#pragma once

#include <string>
#include <string_view>

// A message may quote what it is about: a file's name, a key, a tensor. So that it stays one line and no
// terminal acts on it, control characters and what is no UTF-8 are written as escapes ("\n", "\x1b"), and of
// a very long message the middle is left out.
std::string one_line(std::string_view message);
