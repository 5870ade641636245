// Registers and spills of the kernels, as ptxas reports them when nvcc compiles for sm_90 (`make
// test-cuda`), and the code that it made.
//
// No kernel may spill or have arrays in local memory. A .cu file states the budget of its kernels, a .cuh
// file that of kernels by name. Code is at most 128 KiB, which the instruction caches hold, unless another
// number is stated. "16-byte loads": a kernel that is bound by them has at least one.
//
//   // ptxas budget: 128 registers, no spills
//   // ptxas budget of short_*: 168 registers, no spills, 90 KiB of code, 16-byte loads
//
// CUDA_BUILD names the folder of the build: its reports lie beside the objects of the kernels.
#include <cxxabi.h>
#include <doctest/doctest.h>
#include <elf.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/skip.h"
#include "tests/unit/kernels/device_code.h"

namespace {

namespace fs = std::filesystem;

struct KernelReport {
    std::string kernel, architecture;  // "cuda::(anonymous namespace)::update", "sm_90"
    std::string symbol;
    int registers = -1, spill_stores = -1, spill_loads = -1;
    DeviceCode code{};
};

struct Budget {
    int registers, kibibytes;
    bool wide_loads;
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
            kernels.push_back({readable(found[1]), found[2], found[1]});
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
std::map<std::string, Budget> parse_budgets(std::istream& source) {
    static const std::regex budget(
        "// ptxas budget(?: of (\\w+\\*?))?: (\\d+) registers, no spills(?:, (\\d+) KiB of code)?(, 16-byte "
        "loads)?");
    std::map<std::string, Budget> budgets;
    std::smatch found;
    for (std::string line; std::getline(source, line);) {
        if (line.find("ptxas budget") == std::string::npos) continue;
        CAPTURE(line);
        REQUIRE(std::regex_match(line, found, budget));
        budgets[found[1]] = {std::stoi(found[2]), found[3].matched ? std::stoi(found[3]) : 0,
                             found[4].matched};
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
std::string complaint(const KernelReport& report, const std::map<std::string, Budget>& budgets) {
    constexpr int usual_kibibytes = 128;
    std::ostringstream text;
    if (report.registers < 0 || report.spill_stores < 0) text << "ptxas says nothing about it; ";
    if (report.spill_stores > 0 || report.spill_loads > 0)
        text << "spills " << report.spill_stores << " bytes out and " << report.spill_loads << " in; ";
    if (report.code.bytes == 0) text << "has no code; ";
    if (report.code.local_accesses > 0)
        text << "accesses local memory " << report.code.local_accesses << " times; ";
    int kibibytes = usual_kibibytes;
    for (const auto& [pattern, budget] : budgets) {
        if (!is_named(report.kernel, pattern)) continue;
        if (report.registers > budget.registers)
            text << "takes " << report.registers << " registers of " << budget.registers << "; ";
        if (budget.kibibytes > 0) kibibytes = budget.kibibytes;
        if (budget.wide_loads && report.code.wide_loads == 0) text << "has no 16-byte loads; ";
    }
    if (report.code.bytes > static_cast<std::size_t>(kibibytes) * 1024)
        text << "has " << (report.code.bytes + 1023) / 1024 << " KiB of code of " << kibibytes << "; ";
    return text.str();
}

// Adds the code in `object` to the reports of its kernels.
void add_code(std::vector<KernelReport>& kernels, const fs::path& object) {
    std::ifstream file(object, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
    for (const DeviceCode& code : device_code(bytes))
        for (KernelReport& each : kernels)
            if (each.symbol == code.symbol) each.code = code;
}

}  // namespace

TEST_CASE("ptxas: every kernel keeps to its registers and code, without spills or local memory") {
    const char* folder = std::getenv("CUDA_BUILD");
    if (folder == nullptr) return skip_test("no reports of ptxas (`make test-cuda`)");
    std::map<std::string, Budget> shared_budgets;
    for (const auto& file : fs::recursive_directory_iterator("kernels"))
        if (file.path().extension() == ".cuh") {
            std::ifstream source(file.path());
            for (const auto& [pattern, budget] : parse_budgets(source)) {
                CHECK_MESSAGE(!pattern.empty(), file.path(), ": a budget there needs a name: of tiles_*");
                shared_budgets[pattern] = budget;
            }
        }
    std::map<std::string, bool> used;
    int files = 0;
    for (const auto& file : fs::recursive_directory_iterator("kernels")) {
        if (file.path().extension() != ".cu") continue;
        ++files;
        const std::string stem = (fs::path(folder) / "objects" / file.path()).string();
        std::ifstream source(file.path()), report(stem + ".ptxas");
        REQUIRE_MESSAGE(report.is_open(), file.path(), ": no report in ", folder);
        std::map<std::string, Budget> budgets = parse_budgets(source);
        CHECK_MESSAGE(budgets.contains(""), file.path(), ": states no ptxas budget");
        budgets.insert(shared_budgets.begin(), shared_budgets.end());
        std::vector<KernelReport> kernels = parse_report(report);
        add_code(kernels, stem + ".o");
        CHECK_MESSAGE(!kernels.empty(), file.path(), ": no kernel in its report");
        for (const KernelReport& each : kernels) {
            const std::string problem = complaint(each, budgets);
            CHECK_MESSAGE(problem.empty(), file.path(), ": ", each.kernel, " for ", each.architecture, " ",
                          problem);
            for (const auto& [pattern, budget] : budgets) used[pattern] |= is_named(each.kernel, pattern);
        }
    }
    CHECK(files > 0);
    for (const auto& [pattern, budget] : shared_budgets)
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
    std::vector<KernelReport> kernels = parse_report(report);
    REQUIRE(kernels.size() == 2);
    for (KernelReport& each : kernels) each.code = {each.symbol, 129 * 1024, 0, 0};
    CHECK(kernels[0].kernel == "cuda::attention::short_forward");
    CHECK(kernels[0].architecture == "sm_90");
    std::istringstream source(
        "// text\n// ptxas budget: 170 registers, no spills\n"
        "// ptxas budget of short_*: 168 registers, no spills, 130 KiB of code, 16-byte loads\n");
    const std::map<std::string, Budget> budgets = parse_budgets(source);
    CHECK(complaint(kernels[0], budgets) ==
          "spills 8 bytes out and 12 in; takes 169 registers of 168; has no 16-byte loads; ");
    CHECK(complaint(kernels[1], budgets) == "has 129 KiB of code of 128; ");
    kernels[1].code = {kernels[1].symbol, 1024, 3, 0};
    CHECK(complaint(kernels[1], {{"update", {169, 0, false}}}) ==
          "accesses local memory 3 times; takes 170 registers of 169; ");
    kernels[1].code.local_accesses = 0;
    CHECK(complaint(kernels[1], budgets).empty());
    CHECK_FALSE(complaint({"cuda::cut_off", "sm_90", "", -1, -1, -1, {}}, budgets).empty());
}

namespace {

// An object with a cubin whose only kernel has these instructions, their two halves one after the other.
std::vector<char> object_with(const std::vector<std::uint64_t>& text) {
    const std::string names("\0.text.k\0", 9);
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_machine = 190;
    header.e_shoff = sizeof header;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = 2;
    Elf64_Shdr sections[2] = {};
    sections[0].sh_offset = sizeof header + sizeof sections;
    sections[0].sh_size = names.size();
    sections[1].sh_name = 1;
    sections[1].sh_offset = sections[0].sh_offset + names.size();
    sections[1].sh_size = text.size() * sizeof(std::uint64_t);
    std::vector<char> object{'.', 'n', 'v'};
    const auto append = [&](const void* from, std::size_t bytes) {
        const char* const begin = static_cast<const char*>(from);
        object.insert(object.end(), begin, begin + bytes);
    };
    append(&header, sizeof header);
    append(sections, sizeof sections);
    append(names.data(), names.size());
    append(text.data(), sections[1].sh_size);
    return object;
}

}  // namespace

TEST_CASE("registers: code is read from the cubins in an object") {
    constexpr std::uint64_t load = 0x981, copy = 0xFAE, load_local = 0x983, of_16 = 6 << 9, of_4 = 4 << 9;
    std::vector<char> object = object_with({load, of_16, load, of_4, copy, of_16, load_local, of_4});
    const std::vector<DeviceCode> code = device_code(object);
    REQUIRE(code.size() == 1);
    CHECK(code[0].symbol == "k");
    CHECK(code[0].bytes == 64);
    CHECK(code[0].wide_loads == 2);
    CHECK(code[0].local_accesses == 1);
    object.resize(object.size() - 1);
    CHECK(device_code(object).empty());
    CHECK(device_code({}).empty());
}
