// Runs the parser that the program is named after on every file of tests/fuzz/corpus/PARSER, for compilers
// without libFuzzer. Runs in the repository's root.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <sanitizer/common_interface_defs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/entry.h"

// A few bytes are no reason to take much memory.
extern "C" const char* __asan_default_options() {
    return "max_allocation_size_mb=256";
}

namespace {

std::string current_file;

}  // namespace

TEST_CASE("fuzz: the files of the corpus are read or refused") {
    const auto parser = std::filesystem::read_symlink("/proc/self/exe").filename();
    const auto folder = std::filesystem::path("tests/fuzz/corpus") / parser;
    MESSAGE("corpus: ", folder.string());
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
    std::ranges::sort(files);
    REQUIRE(!files.empty());
    __sanitizer_set_death_callback([] { std::fprintf(stderr, "while reading %s\n", current_file.c_str()); });
    for (const auto& file : files) {
        current_file = file.string();
        CAPTURE(current_file);
        constexpr unsigned patience = 120;  // seconds; a parser that never ends is ended
        ::alarm(patience);
        std::ifstream stream(file, std::ios::binary);
        const std::vector<char> bytes{std::istreambuf_iterator<char>(stream), {}};
        CHECK_NOTHROW(
            LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
    }
    ::alarm(0);
}
