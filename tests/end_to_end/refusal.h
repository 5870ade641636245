// A command that must fail with one line on stderr, the right exit code, and no files written.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "tests/end_to_end/test_directory.h"

struct Refusal {
    std::string program;
    Words arguments;
    int exit_code;
    Words named;  // the line contains all of these
};

inline void check_refusal(const TestDirectory& work, const Refusal& refusal) {
    std::string line = refusal.program;
    for (const std::string& word : refusal.arguments) line += " " + word;
    CAPTURE(line);
    const auto before = work.listing();
    const Outcome outcome = work.run(refusal.program, refusal.arguments);
    CAPTURE(outcome.errors);
    CHECK(outcome.exit_code == refusal.exit_code);
    CHECK(outcome.output.empty());
    CHECK(is_one_line(outcome.errors));
    CHECK(outcome.errors.starts_with(refusal.program + ": "));
    for (const std::string& name : refusal.named)
        CHECK_MESSAGE(outcome.errors.find(name) != std::string::npos, name);
    CHECK(work.listing() == before);
}
