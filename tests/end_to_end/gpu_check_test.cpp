// `make gpu-check` in a dry run, as on a bare machine with a GPU and a bundle of libraries: without network,
// boost and mpicc. Compilers, the GPU's tools and the programs that they would build are stand-ins
// (tests/gpu/stand_in.sh).
#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>

#include "tests/end_to_end/test_directory.h"
#include "tests/skip.h"

namespace {

namespace fs = std::filesystem;

std::ptrdiff_t lines_with(const std::string& text, std::string_view part) {
    std::istringstream lines(text);
    std::ptrdiff_t count = 0;
    for (std::string line; std::getline(lines, line);) count += line.find(part) != std::string::npos ? 1 : 0;
    return count;
}

// All that the system has, besides the stand-ins.
const Words system_tools{"awk",  "ar",      "basename", "bash", "cat",   "cksum", "cmp",  "cp",   "cut",
                         "date", "env",     "find",     "grep", "head",  "id",    "ls",   "make", "mkdir",
                         "mv",   "nproc",   "rm",       "sed",  "sh",    "sleep", "sort", "tail", "tar",
                         "tee",  "timeout", "touch",    "tr",   "uname", "wc",    "xz"};

struct BareMachine {
    BareMachine() {
        fs::create_directories(work.at("system"));
        for (const std::string& tool : system_tools) {
            REQUIRE_MESSAGE(fs::exists("/usr/bin/" + tool), tool);
            fs::create_symlink("/usr/bin/" + tool, work.at("system/" + tool));
        }
        fs::create_directories(work.at("stand-ins"));
        for (const char* name : {"c++", "nvcc", "nvidia-smi", "compute-sanitizer", "apt-get", "curl", "sudo"})
            fs::create_symlink(fs::absolute("tests/gpu/stand_in.sh"), work.at("stand-ins") / name);
        pack_bundle();
    }

    // Of empty headers: those that the Makefile names for a build with a bundle.
    void pack_bundle() {
        const std::string makefile = read_file("Makefile"), start = "\nHEADERS := ";
        const std::size_t begin = makefile.find(start) + start.size();
        std::istringstream headers(makefile.substr(begin, makefile.find("$(if", begin) - begin));
        int count = 0;
        for (std::string header; headers >> header; ++count) {
            fs::create_directories(work.at("bundle/include/" + header).parent_path());
            work.write("bundle/include/" + header, "");
        }
        REQUIRE(count > 10);
        fs::create_directories(work.at("build"));
        REQUIRE(Command("/usr/bin/tar",
                        {"-cJf", work.path("build/bundle.tar.xz"), "-C", work.path("bundle"), "include"})
                    .finish()
                    .exit_code == 0);
    }

    Outcome check(const Words& variables = {}) const {
        const auto assigned = [&](const std::string& name, std::string_view path) {
            return name + "=" + work.path(path);
        };
        return Command("/usr/bin/env", Words{"-i", assigned("RECORD", ""), "NVIDIA_TF32_OVERRIDE=1",
                                             "PATH=" + work.path("stand-ins") + ":" + work.path("system"),
                                             "make", "gpu-check", assigned("CXX", "stand-ins/c++"),
                                             assigned("NVCC", "stand-ins/nvcc"), assigned("BUILD", "build"),
                                             "PIECE_LIMIT=6"} +
                                           variables)
            .finish(std::chrono::minutes(10));
    }

    TestDirectory work;
};

// Results by part, of the table.
std::map<std::string, std::string> results_of(const std::string& table) {
    std::map<std::string, std::string> results;
    std::istringstream lines(table);
    std::string line, part, seconds;
    for (std::getline(lines, line); std::getline(lines, line);) {
        std::istringstream words(line);
        words >> part >> seconds >> std::ws;
        std::getline(words, results[part]);
    }
    return results;
}

}  // namespace

TEST_CASE(
    "gpu-check: every part is reached on a machine without network, boost and mpicc, and none loses "
    "another's result") {
    if (!fs::exists("/usr/bin/xz")) return skip_test("no xz");
    const BareMachine machine;
    machine.work.write("slow", "");
    const Outcome first = machine.check();
    CAPTURE(first.output);
    CAPTURE(first.errors);
    CHECK(first.exit_code == 2);  // make's, of a recipe that failed
    CHECK_FALSE(fs::exists(machine.work.at("network")));
    CHECK(first.output.find("NVIDIA H200, 9.0\n") == 0);
    CHECK(first.output.find("goals: ") < first.output.find("tests/unit-kernels: "));
    const std::string table = read_file(machine.work.at("build/gpu/check/table.txt"));
    CHECK(first.output.ends_with("\n\n" + table));
    auto results = results_of(table);
    CHECK(results["build"] == "passed");
    for (const std::string part : {"goals", "bench-bf16", "bench-fp32"}) {
        CHECK(results[part] == (part == "goals" ? "passed: 1 not measured" : "passed"));
        CHECK(read_file(machine.work.at("build/gpu/check/" + part + ".md")) == "# Measured\n");
    }
    CHECK(results["tests"] == "passed: 27 passed, 0 failed, 18 skipped");
    CHECK(results["memcheck"].starts_with("passed: "));
    CHECK(results["racecheck"].find(
              " sources, the first is unit-kernels-norm-layernorm_test.cpp: not done within 6 s") !=
          std::string::npos);
    CHECK(results["racecheck"].starts_with("failed: 1 of "));
    CHECK(results["synccheck"] == "skipped: not supported here");
    const auto sanitized = [&](const std::string& tool) {
        return lines_with(read_file(machine.work.at("sanitized")), tool);
    };
    CHECK(sanitized("memcheck -sf=*tests/unit/kernels/") > 30);
    CHECK(sanitized("memcheck") == sanitized("racecheck"));
    CHECK(sanitized("synccheck") == 1);

    // The next call does what is left.
    fs::remove(machine.work.at("slow"));
    fs::remove(machine.work.at("sanitized"));
    const Outcome second = machine.check({"PARTS=racecheck synccheck"});
    CAPTURE(second.output);
    CAPTURE(second.errors);
    CHECK(second.exit_code == 0);
    CHECK(sanitized("") == 2);
    results = results_of(read_file(machine.work.at("build/gpu/check/table.txt")));
    CHECK(results["racecheck"].starts_with("passed: "));
    CHECK(results["tests"] == "passed: 27 passed, 0 failed, 18 skipped");
    CHECK(machine.check({"PARTS=tests nonsense"})
              .errors.starts_with("make gpu-check: no part nonsense, expected some of: build "));
}
