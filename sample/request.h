// A request of --requests: one line, a JSON object whose keys are flags of the job, without their dashes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/command_line.h"

// Bytes of a line at most.
inline constexpr std::size_t longest_request = std::size_t{1} << 20;

struct Request {
    std::string id;                 // JSON text of the value of "id": a text or a number; "" without
    std::vector<FlagValues> flags;  // every other key
    std::string error;  // what is wrong with the line, "": nothing; with an id if it could be read
};

// Values are texts, numbers, true and false, and lists of these. Throws nothing but std::bad_alloc.
Request parse_request(std::string_view line);
