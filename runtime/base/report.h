// What a program says to its user beside its output.
#pragma once

#include <fmt/core.h>

#include <cstdio>
#include <string_view>

#include "runtime/base/one_line.h"

// One line on stderr, "PROGRAM: MESSAGE"; dropped if nobody can read it any more.
inline void report_line(std::string_view program, std::string_view message) {
    std::fputs(fmt::format("{}: {}\n", program, one_line(message)).c_str(), stderr);
}
