// Runs every test case of the build's tests; flags are doctest's (--help). The last line counts the test
// cases that skip_test() left undone, which doctest counts as passed:
//
//   [doctest] skipped: 2 of those passed (1: no CUDA backend in this build; 1: no Open MPI)
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

#include "runtime/device/device.h"
#include "tests/skip.h"

namespace {

std::map<std::string, int> skipped;  // number of test cases by reason
bool tests_ran = false;              // not with --help and its like

struct SkipCounter : doctest::IReporter {
    explicit SkipCounter(const doctest::ContextOptions&) {}

    void test_case_start(const doctest::TestCaseData&) override { skip_reason.clear(); }
    void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
        if (!skip_reason.empty() && stats.testCaseSuccess) ++skipped[skip_reason];
    }
    void test_run_end(const doctest::TestRunStats&) override { tests_ran = true; }

    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("skipped", 1, SkipCounter);

void print_skipped() {
    int all = 0;
    std::string reasons;
    for (const auto& [reason, count] : skipped) {
        all += count;
        reasons += fmt::format("{}{}: {}", reasons.empty() ? " (" : "; ", count, reason);
    }
    fmt::print("[doctest] skipped: {} of those passed{}\n", all, reasons.empty() ? "" : reasons + ")");
}

}  // namespace

int main(int argument_count, char** arguments) {
    flush_denormals();
    const int status = doctest::Context(argument_count, arguments).run();
    if (tests_ran) print_skipped();
    return status;
}
