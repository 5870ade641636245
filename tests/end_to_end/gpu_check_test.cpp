// `make gpu-check` in a dry run, as on a machine with a GPU, a bundle of libraries and a bare system: without network, boost
// and mpicc. Compilers, the GPU's tools and the programs that they would build are stand-ins.
#include <doctest/doctest.h>

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
const Words system_tools{"awk",     "ar",    "basename", "bash",  "cat",  "cksum", "cmp",  "cp",   "cut",
                         "date",    "env",   "find",     "grep",  "head", "id",    "ls",   "make", "mkdir",
                         "mv",      "nproc", "rm",       "sed",   "sh",   "sort",  "tail", "tar",  "tee",
                         "timeout", "touch", "tr",       "uname", "wc",   "xz"};

// Of C++ and, with other options, of CUDA. Headers are found in the bundle alone; a warning is an error where it is asked for.
constexpr const char* compiler = R"sh(#!/bin/bash
out= kind=link folder=
while (($#)); do
    case $1 in
        -o) out=$2; shift ;;
        -isystem) [[ $2 == *bundle* ]] && folder=$2; shift ;;
        -c | -E | -fsyntax-only) kind=$1 ;;
        -Werror | all-warnings) echo "false alarm [-Werror]" >&2; exit 1 ;;
    esac
    shift
done
case $kind in
    -c) : > "$out" ;;
    -E) ;;
    -fsyntax-only)
        for header in $(sed -nE 's/#include <(.*)>/\1/p'); do [[ -f $folder/$header ]] || exit 1; done ;;
    link) cp "$STAND_INS/program-$(basename "$out")" "$out" ;;
esac
)sh";

constexpr const char* tests = R"sh(#!/bin/bash
[[ $TEST_DEVICES == cuda && -z ${NVIDIA_TF32_OVERRIDE+set} ]] || exit 3
echo "[doctest] test cases:  5 |  5 passed | 0 failed | 90 skipped"
echo "[doctest] skipped: 2 of those passed (2: no Open MPI)"
)sh";

constexpr const char* bench = R"sh(#!/bin/bash
echo "measured with $*"
while (($#)); do [[ $1 == --markdown ]] && echo "# Measured" > "$2"; shift; done
)sh";

constexpr const char* nvidia_smi = R"sh(#!/bin/bash
[[ $* == *name* ]] && echo "NVIDIA H200, 9.0" || echo 9.0
)sh";

// One tool does not know the device, and one source of tests takes another one too long, until `slow` is gone.
constexpr const char* compute_sanitizer = R"sh(#!/bin/bash
echo "$2 ${*: -1}" >> "$STAND_INS/sanitized"
[[ $2 == synccheck ]] && { echo "========= Error: Device not supported."; exit 1; }
[[ $2 == racecheck && $* == *layernorm* && -f $STAND_INS/slow ]] && /usr/bin/sleep 60
exec "${@:5}"
)sh";

constexpr const char* network = R"sh(#!/bin/bash
echo "$0 $*" >> "$STAND_INS/network"
exit 1
)sh";

struct BareMachine {
    BareMachine() {
        fs::create_directories(work.at("system"));
        for (const std::string& tool : system_tools) {
            REQUIRE_MESSAGE(fs::exists("/usr/bin/" + tool), tool);
            fs::create_symlink("/usr/bin/" + tool, work.at("system/" + tool));
        }
        for (const char* name : {"c++", "nvcc"}) add("stand-ins/" + std::string(name), compiler);
        for (const char* name : {"program-train", "program-sample", "program-data", "program-tests"})
            add("stand-ins/" + std::string(name), tests);
        add("stand-ins/program-bench", bench);
        add("stand-ins/nvidia-smi", nvidia_smi);
        add("stand-ins/compute-sanitizer", compute_sanitizer);
        for (const char* name : {"apt-get", "curl", "sudo"}) add("stand-ins/" + std::string(name), network);
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

    void add(const std::string& name, std::string_view script) const {
        fs::create_directories(work.at(name).parent_path());
        work.write(name, script);
        fs::permissions(work.at(name), fs::perms::owner_all);
    }

    Outcome check(const Words& variables = {}) const {
        const auto assigned = [&](const std::string& name, std::string_view path) {
            return name + "=" + work.path(path);
        };
        return Command(
                   "/usr/bin/env",
                   Words{"-i", assigned("STAND_INS", "stand-ins"), "NVIDIA_TF32_OVERRIDE=1",
                         "PATH=" + work.path("stand-ins") + ":" + work.path("system"), "make", "gpu-check",
                         assigned("CXX", "stand-ins/c++"), assigned("NVCC", "stand-ins/nvcc"),
                         assigned("BUILD", "build"), "PIECE_LIMIT=4"} +
                       variables)
            .finish();
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
    machine.work.write("stand-ins/slow", "");
    const Outcome first = machine.check();
    CAPTURE(first.output);
    CAPTURE(first.errors);
    CHECK(first.exit_code == 2);  // make's, of a recipe that failed
    CHECK_FALSE(fs::exists(machine.work.at("stand-ins/network")));
    CHECK(first.output.find("NVIDIA H200, 9.0\n") == 0);
    CHECK(first.output.find("goals: ") < first.output.find("tests/unit-kernels: "));
    const std::string table = read_file(machine.work.at("build/gpu/check/table.txt"));
    CHECK(first.output.ends_with("\n\n" + table));
    auto results = results_of(table);
    CHECK(results["build"] == "passed");
    for (const std::string part : {"goals", "bench-bf16", "bench-fp32"}) {
        CHECK(results[part] == "passed");
        CHECK(read_file(machine.work.at("build/gpu/check/" + part + ".md")) == "# Measured\n");
    }
    CHECK(results["tests"] == "passed: 27 passed, 0 failed, 18 skipped");
    CHECK(results["memcheck"].starts_with("passed: "));
    CHECK(results["racecheck"].find(
              " sources, the first is unit-kernels-norm-layernorm_test.cpp: not done within 4 s") !=
          std::string::npos);
    CHECK(results["racecheck"].starts_with("failed: 1 of "));
    CHECK(results["synccheck"] == "skipped: not supported here");
    const auto sanitized = [&](const std::string& tool) {
        return lines_with(read_file(machine.work.at("stand-ins/sanitized")), tool);
    };
    CHECK(sanitized("memcheck -sf=*tests/unit/kernels/") > 30);
    CHECK(sanitized("memcheck") == sanitized("racecheck"));
    CHECK(sanitized("synccheck") == 1);

    // The next call does what is left.
    fs::remove(machine.work.at("stand-ins/slow"));
    fs::remove(machine.work.at("stand-ins/sanitized"));
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
