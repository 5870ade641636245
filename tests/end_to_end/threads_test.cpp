// How threads wait for each other, as OpenMP's library reports its settings at the start of a program.
#include <doctest/doctest.h>

#include "tests/end_to_end/workplace.h"

namespace {

// What `build/sample --help` says on stderr with these settings and none of whoever runs the tests.
std::string reported_settings(const Words& settings) {
    const Workplace work;
    Command command("/usr/bin/env",
                    Words{"-u", "GOMP_SPINCOUNT", "-u", "OMP_WAIT_POLICY"} + settings +
                        Words{"OMP_DISPLAY_ENV=verbose", work.program("sample").string(), "--help"});
    const Outcome outcome = command.finish();
    CHECK(outcome.exit_code == 0);
    CHECK(outcome.output.find("Usage:") != std::string::npos);
    return outcome.errors;
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("end to end: threads that wait for each other soon sleep, unless their user wants otherwise") {
    CHECK(contains(reported_settings({}), "GOMP_SPINCOUNT = '10000'"));
    const std::string chosen = reported_settings({"GOMP_SPINCOUNT=77"});
    CHECK(contains(chosen, "GOMP_SPINCOUNT = '77'"));
    CHECK_FALSE(contains(chosen, "'10000'"));
    const std::string active = reported_settings({"OMP_WAIT_POLICY=active"});
    CHECK(contains(active, "OMP_WAIT_POLICY = 'ACTIVE'"));
    CHECK_FALSE(contains(active, "'10000'"));
}

#ifndef __SANITIZE_THREAD__  // whose library starts the program once more by itself
TEST_CASE("end to end: a program that is given to the dynamic loader runs as well") {
    const std::filesystem::path loader = "/lib64/ld-linux-x86-64.so.2";
    if (!std::filesystem::exists(loader)) return;
    const Workplace work;
    Command command("/usr/bin/env", {"-u", "GOMP_SPINCOUNT", "-u", "OMP_WAIT_POLICY", loader.string(),
                                     work.program("sample").string(), "info", "--help"});
    const Outcome outcome = command.finish();
    CHECK(outcome.exit_code == 0);
    CHECK(outcome.errors == "");
    CHECK(contains(outcome.output, "Usage:"));
}
#endif
