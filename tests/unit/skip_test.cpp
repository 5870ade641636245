#include "tests/skip.h"

#include <doctest/doctest.h>

#include "tests/end_to_end/command.h"

TEST_CASE("skip example: passed" * doctest::skip()) {
    CHECK(true);
}
TEST_CASE("skip example: skipped" * doctest::skip()) {
    skip_test("no such disk");
}
TEST_CASE("skip example: skipped, but failed before" * doctest::skip()) {
    CHECK(false);
    skip_test("no such disk");
}

TEST_CASE("skip_test: skipped test cases are counted apart, with their reasons, unless they failed") {
    const Outcome outcome = Command("/proc/self/exe", {"--no-skip", "-tc=skip example*"}).finish();
    CAPTURE(outcome.output);
    CHECK(outcome.exit_code == 1);
    CHECK(outcome.output.find(" 2 passed") != std::string::npos);
    CHECK(outcome.output.ends_with("\n[doctest] skipped: 1 of those passed (1: no such disk)\n"));
}
