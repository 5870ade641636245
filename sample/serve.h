// Requests one after the other: what --requests of a drawing job does.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "runtime/base/command_line.h"
#include "sample/picture_outputs.h"
#include "sample/request_lines.h"

// What a request has drawn.
struct Drawn {
    std::int64_t images;
    std::uint64_t seed;
    PictureOutputs outputs;
};

// --requests; and the file that it names, none for standard input.
void add_requests_flag(CommandLine& command, std::string& requests);
NamedPath requests_file(const std::string& requests);

// Calls `draw` with the flags of each request and answers with a line of JSON on standard output, written at
// once: "line", its number, and its "id", if it has one; then
//   "images", "seed", "out", "each" and "trace", as far as given, and "milliseconds", writing included;
//   or, for what is no request, and what `draw` throws, "error".
// Returns at the end of the input, or once interrupted(); throws Error if an answer cannot be written.
void serve_requests(RequestLines& lines, const std::function<Drawn(std::span<const FlagValues>)>& draw);
