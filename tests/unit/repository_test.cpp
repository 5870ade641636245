// The size of the repository: a clone goes in one piece to machines that take little.
#include <doctest/doctest.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "tests/skip.h"

namespace {

// Output of a shell command; empty if it fails.
std::string output_of(const std::string& command) {
    std::string text;
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    char block[4096];
    while (const std::size_t count = std::fread(block, 1, sizeof block, pipe.get()))
        text.append(block, count);
    return text;
}

}  // namespace

TEST_CASE("repository: the tracked files are less than 30 MiB") {
    const std::string paths = output_of("git ls-files -z 2> /dev/null");
    if (paths.empty()) return skip_test("no clone by git");
    std::uintmax_t bytes = 0, files = 0;
    for (std::size_t begin = 0; begin < paths.size();) {
        const std::size_t end = paths.find('\0', begin);
        const std::filesystem::path path = paths.substr(begin, end - begin);
        begin = end + 1;
        if (!std::filesystem::is_regular_file(path)) continue;
        bytes += std::filesystem::file_size(path);
        ++files;
    }
    CHECK(files > 1000);
    CHECK(bytes < 30 << 20);
}
