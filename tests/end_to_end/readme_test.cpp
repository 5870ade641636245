// What README shows: its pictures, and its commands, whose programs, jobs and flags exist.
#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

#include "data/images/image_file.h"
#include "tests/end_to_end/test_directory.h"

namespace {

// Lines of code (indented by four spaces) without their comments; those that end in a backslash with what
// follows them.
std::vector<std::string> code_lines(const std::string& path) {
    std::ifstream file(path);
    REQUIRE(file.is_open());
    std::vector<std::string> lines;
    bool continues = false;
    for (std::string line; std::getline(file, line);) {
        if (!continues && !line.starts_with("    ")) continue;
        line = line.substr(0, line.find(" #"));
        const bool more = line.ends_with('\\');
        if (more) line.pop_back();
        if (continues)
            lines.back() += line;
        else
            lines.push_back(line);
        continues = more;
    }
    return lines;
}

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
    const std::regex regex(pattern);
    std::set<std::string> all;
    for (std::sregex_iterator i(text.begin(), text.end(), regex), end; i != end; ++i) all.insert((*i)[1]);
    return all;
}

}  // namespace

TEST_CASE("README: its pictures are whole") {
    const std::set<std::string> pictures = matches(read_file("README.md"), R"(!\[[^\]]*\]\(([^)]+)\))");
    CHECK(pictures.size() > 5);
    for (const std::string& path : pictures) {
        CAPTURE(path);
        if (path.ends_with(".png")) {
            CHECK_NOTHROW(read_image(path, 3));
            continue;
        }
        REQUIRE(path.ends_with(".webp"));
        const std::string bytes = read_file(path);
        REQUIRE(bytes.size() > 12);
        CHECK(bytes.starts_with("RIFF"));
        std::uint32_t behind = 0;  // bytes behind this number; a file that something was put into differs
        std::memcpy(&behind, bytes.data() + 4, sizeof behind);
        CHECK(behind + 8 == bytes.size());
    }
}

TEST_CASE("end to end: the programs, jobs and flags of README's commands exist") {
    const TestDirectory work;
    std::map<std::string, std::set<std::string>> helps;
    int commands = 0;
    const std::regex call(R"(build/(train|sample|data) (evaluate nll|[a-z]+)(.*))");
    for (const std::string& line : code_lines("README.md")) {
        std::smatch found;
        if (!std::regex_search(line, found, call)) continue;
        ++commands;
        CAPTURE(line);
        const std::string program = found[1], job = found[2];
        if (!helps.contains(program + job)) {
            Words words{"--help"};
            const std::size_t space = job.find(' ');
            words.insert(words.begin(), job.substr(0, space));
            if (space != std::string::npos) words.insert(words.begin() + 1, job.substr(space + 1));
            const Outcome help = work.run(program, words);
            REQUIRE(help.exit_code == 0);
            helps[program + job] = matches(help.output, "(--[a-z0-9-]+)");
        }
        for (const std::string& flag : matches(found[3], " (--[a-z0-9-]+)"))
            CHECK_MESSAGE(helps[program + job].contains(flag), flag);
    }
    CHECK(commands > 30);
}
