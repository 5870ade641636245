// Messages as the programs print them.
#pragma once

#include <string>
#include <string_view>

// Messages quote file names, keys and tensor names. To keep a message on one line and free of terminal
// control sequences, control characters and invalid UTF-8 are escaped ("\n", "\x1b"), and the middle of a
// very long message is elided.
std::string one_line(std::string_view message);
