// Registers and spills of the kernels, as ptxas reports them when nvcc compiles for sm_90 (`make
// test-cuda`).
//
// No kernel may spill. A .cu file states the register budget of its kernels, a .cuh file that of kernels by
// name:
//
//   // ptxas budget: 128 registers, no spills
//   // ptxas budget of short_*: 168 registers, no spills
//
// CUDA_BUILD names the folder of the build: its reports lie beside the objects of the kernels.
#include <cxxabi.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/skip.h"

namespace {

namespace fs = std::filesystem;

struct KernelReport {
    std::string kernel, architecture;  // "cuda::(anonymous namespace)::update", "sm_90"
    int registers = -1, spill_stores = -1, spill_loads = -1;
};

// A kernel's name without its template arguments and parameters.
std::string readable(const std::string& symbol) {
    int status = 0;
    char* const demangled = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status);
    std::string name = demangled != nullptr ? demangled : symbol;
    std::free(demangled);
    name = std::regex_replace(name, std::regex("\\(anonymous namespace\\)::|^void "), "");
    return name.substr(0, name.find_first_of("<("));
}

std::vector<KernelReport> parse_report(std::istream& report) {
    static const std::regex entry("Compiling entry function '(\\w+)' for '(\\w+)'");
    static const std::regex spills("(\\d+) bytes spill stores, (\\d+) bytes spill loads");
    static const std::regex registers("Used (\\d+) registers");
    std::vector<KernelReport> kernels;
    std::smatch found;
    for (std::string line; std::getline(report, line);) {
        if (std::regex_search(line, found, entry)) {
            kernels.push_back({readable(found[1]), found[2]});
        } else if (kernels.empty()) {
            continue;
        } else if (std::regex_search(line, found, spills)) {
            // Also of functions that a kernel calls, which come after it.
            kernels.back().spill_stores = std::max(kernels.back().spill_stores, std::stoi(found[1]));
            kernels.back().spill_loads = std::max(kernels.back().spill_loads, std::stoi(found[2]));
        } else if (std::regex_search(line, found, registers)) {
            kernels.back().registers = std::stoi(found[1]);
        }
    }
    return kernels;
}

// The budgets a source states, by the kernels' name: "" for all, "short_*" for a beginning.
std::map<std::string, int> parse_budgets(std::istream& source) {
    static const std::regex budget("// ptxas budget(?: of (\\w+\\*?))?: (\\d+) registers, no spills");
    std::map<std::string, int> budgets;
    std::smatch found;
    for (std::string line; std::getline(source, line);) {
        if (line.find("ptxas budget") == std::string::npos) continue;
        CAPTURE(line);
        REQUIRE(std::regex_match(line, found, budget));
        budgets[found[1]] = std::stoi(found[2]);
    }
    return budgets;
}

bool is_named(const std::string& kernel, std::string pattern) {
    const std::string name = kernel.substr(kernel.rfind(':') + 1);
    if (!pattern.ends_with('*')) return pattern.empty() || name == pattern;
    pattern.pop_back();
    return name.starts_with(pattern);
}

// Violations of a kernel's budget; empty if there are none.
std::string complaint(const KernelReport& report, const std::map<std::string, int>& budgets) {
    std::ostringstream text;
    if (report.registers < 0 || report.spill_stores < 0) text << "ptxas says nothing about it; ";
    if (report.spill_stores > 0 || report.spill_loads > 0)
        text << "spills " << report.spill_stores << " bytes out and " << report.spill_loads << " in; ";
    for (const auto& [pattern, registers] : budgets)
        if (is_named(report.kernel, pattern) && report.registers > registers)
            text << "takes " << report.registers << " registers of " << registers << "; ";
    return text.str();
}

}  // namespace

TEST_CASE("ptxas: every kernel keeps to its registers and spills nothing") {
    const char* folder = std::getenv("CUDA_BUILD");
    if (folder == nullptr) return skip_test("no reports of ptxas (`make test-cuda`)");
    std::map<std::string, int> shared_budgets;
    for (const auto& file : fs::recursive_directory_iterator("kernels"))
        if (file.path().extension() == ".cuh") {
            std::ifstream source(file.path());
            for (const auto& [pattern, registers] : parse_budgets(source)) {
                CHECK_MESSAGE(!pattern.empty(), file.path(), ": a budget there needs a name: of tiles_*");
                shared_budgets[pattern] = registers;
            }
        }
    std::map<std::string, bool> used;
    int files = 0;
    for (const auto& file : fs::recursive_directory_iterator("kernels")) {
        if (file.path().extension() != ".cu") continue;
        ++files;
        std::ifstream source(file.path()),
            report(fs::path(folder) / "objects" / (file.path().string() + ".ptxas"));
        REQUIRE_MESSAGE(report.is_open(), file.path(), ": no report in ", folder);
        std::map<std::string, int> budgets = parse_budgets(source);
        CHECK_MESSAGE(budgets.contains(""), file.path(), ": states no ptxas budget");
        budgets.insert(shared_budgets.begin(), shared_budgets.end());
        const std::vector<KernelReport> kernels = parse_report(report);
        CHECK_MESSAGE(!kernels.empty(), file.path(), ": no kernel in its report");
        for (const KernelReport& each : kernels) {
            const std::string problem = complaint(each, budgets);
            CHECK_MESSAGE(problem.empty(), file.path(), ": ", each.kernel, " for ", each.architecture, " ",
                          problem);
            for (const auto& [pattern, registers] : budgets) used[pattern] |= is_named(each.kernel, pattern);
        }
    }
    CHECK(files > 0);
    for (const auto& [pattern, registers] : shared_budgets)
        CHECK_MESSAGE(used[pattern], "a budget of ", pattern, ", and no kernel of that name");
}

TEST_CASE("registers: a report's spills and registers beyond the budget are found") {
    std::istringstream report(
        "ptxas info    : Compiling entry function '_ZN4cuda9attention13short_forwardIfEEvPT_' for 'sm_90'\n"
        "ptxas info    : Function properties for _ZN4cuda9attention13short_forwardIfEEvPT_\n"
        "    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads\n"
        "ptxas info    : Used 169 registers, used 1 barriers\n"
        "ptxas info    : Compiling entry function '_ZN4cuda6updateEPf' for 'sm_90'\n"
        "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        "ptxas info    : Used 170 registers\n");
    const std::vector<KernelReport> kernels = parse_report(report);
    REQUIRE(kernels.size() == 2);
    CHECK(kernels[0].kernel == "cuda::attention::short_forward");
    CHECK(kernels[0].architecture == "sm_90");
    std::istringstream source(
        "// text\n// ptxas budget: 170 registers, no spills\n"
        "// ptxas budget of short_*: 168 registers, no spills\n");
    const std::map<std::string, int> budgets = parse_budgets(source);
    CHECK(complaint(kernels[0], budgets) == "spills 8 bytes out and 12 in; takes 169 registers of 168; ");
    CHECK(complaint(kernels[1], budgets).empty());
    CHECK(complaint(kernels[1], {{"update", 169}}) == "takes 170 registers of 169; ");
    CHECK_FALSE(complaint({"cuda::cut_off", "sm_90"}, budgets).empty());
}
