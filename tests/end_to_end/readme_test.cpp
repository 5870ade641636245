// The READMEs: pictures are whole, links and named files exist, commands name programs, jobs, flags and
// targets that exist, and lines of prose are short.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "data/images/image_file.h"
#include "tests/end_to_end/test_directory.h"

namespace {

const std::vector<std::string> first_level{"kernels", "runtime", "models", "data",
                                           "train",   "sample",  "tests"};

std::vector<std::string> readmes() {
    std::vector<std::string> paths{"README.md"};
    for (const std::string& folder : first_level)
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
            if (entry.path().filename() == "README.md") paths.push_back(entry.path().string());
    std::ranges::sort(paths);
    return paths;
}

struct Readme {
    std::vector<std::string> prose;  // lines, those of tables and headings included
    // Blocks indented by four spaces without their comments; a line that ends in a backslash with what
    // follows it. Blocks between ``` are left out.
    std::vector<std::string> code;
};

Readme read_readme(const std::string& path) {
    Readme readme;
    std::istringstream text(read_file(path));
    bool continues = false, fenced = false;
    for (std::string line; std::getline(text, line);) {
        if (line.starts_with("```")) {
            fenced = !fenced;
        } else if (!fenced && !continues && !line.starts_with("    ")) {
            readme.prose.push_back(line);
        } else if (!fenced) {
            line = line.substr(0, line.find(" #"));
            const bool more = line.ends_with('\\');
            if (more) line.pop_back();
            if (continues)
                readme.code.back() += line;
            else
                readme.code.push_back(line);
            continues = more;
        }
    }
    return readme;
}

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
    const std::regex regex(pattern);
    std::set<std::string> all;
    for (std::sregex_iterator i(text.begin(), text.end(), regex), end; i != end; ++i) all.insert((*i)[1]);
    return all;
}

std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) text += line + ' ';
    return text;
}

// `code` in prose.
std::set<std::string> spans(const Readme& readme) {
    return matches(joined(readme.prose), "`([^`]+)`");
}

std::set<std::string> commands(const Readme& readme) {
    std::set<std::string> all = spans(readme);
    for (const std::string& line : readme.code) all.insert(line);
    return all;
}

// What a heading is called in links, as GitHub does it.
std::string anchor(const std::string& heading) {
    std::string name;
    for (const char c : heading) {
        if (c == ' ')
            name += '-';
        else if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_')
            name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return name;
}

std::set<std::string> anchors(const std::string& path) {
    std::set<std::string> names;
    for (const std::string& line : read_readme(path).prose)
        if (line.starts_with('#')) names.insert(anchor(line.substr(line.find(' ') + 1)));
    return names;
}

std::size_t columns(const std::string& line) {
    return static_cast<std::size_t>(
        std::ranges::count_if(line, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

TEST_CASE("READMEs: every folder of the first level has one; the first page is short") {
    for (const std::string& folder : first_level) {
        CAPTURE(folder);
        CHECK(std::filesystem::exists(folder + "/README.md"));
    }
    CHECK(read_file("README.md").size() <= 10'000);
}

TEST_CASE("READMEs: lines of prose have at most 100 columns") {
    const std::regex link_alone(R"([*-]? *!?\[[^\]]*\]\([^)]*\)[.,;:]?)");
    for (const std::string& path : readmes())
        for (const std::string& line : read_readme(path).prose) {
            if (line.starts_with('|') || std::regex_match(line, link_alone)) continue;
            CAPTURE(path);
            CAPTURE(line);
            CHECK(columns(line) <= 100);
        }
}

TEST_CASE("READMEs: pictures are whole") {
    int pictures = 0;
    for (const std::string& readme : readmes())
        for (const std::string& name : matches(read_file(readme), R"(!\[[^\]]*\]\(([^)]+)\))")) {
            const std::string path = (std::filesystem::path(readme).parent_path() / name).string();
            CAPTURE(readme);
            CAPTURE(path);
            ++pictures;
            if (path.ends_with(".png")) {
                CHECK_NOTHROW(read_image(path, 3));
                continue;
            }
            REQUIRE(path.ends_with(".webp"));
            const std::string bytes = read_file(path);
            REQUIRE(bytes.size() > 12);
            CHECK(bytes.starts_with("RIFF"));
            // Bytes behind this number; a file that something was put into differs.
            std::uint32_t behind = 0;
            std::memcpy(&behind, bytes.data() + 4, sizeof behind);
            CHECK(behind + 8 == bytes.size());
        }
    CHECK(pictures > 5);
}

TEST_CASE("READMEs: links lead to files and headings that exist") {
    int links = 0;
    for (const std::string& readme : readmes())
        for (const std::string& link : matches(joined(read_readme(readme).prose), R"(\]\(([^)\s]+)\))")) {
            if (link.starts_with("http")) continue;
            CAPTURE(readme);
            CAPTURE(link);
            ++links;
            const std::size_t hash = link.find('#');
            const std::string file = link.substr(0, hash);
            const std::string target =
                file.empty() ? readme : (std::filesystem::path(readme).parent_path() / file).string();
            REQUIRE(std::filesystem::exists(target));
            if (hash != std::string::npos) CHECK(anchors(target).contains(link.substr(hash + 1)));
        }
    CHECK(links > 100);
}

TEST_CASE("READMEs: files and folders of this tree that they name exist") {
    // Placeholders are in capitals; the authors' files end in .py.
    const std::regex ours("(kernels|runtime|models|data|train|sample|tests)/[a-z0-9_./-]+");
    int names = 0;
    for (const std::string& readme : readmes())
        for (const std::string& span : spans(read_readme(readme))) {
            if (!std::regex_match(span, ours) || span.ends_with(".py")) continue;
            CAPTURE(readme);
            CAPTURE(span);
            ++names;
            CHECK(std::filesystem::exists(span));
        }
    CHECK(names > 10);
}

TEST_CASE("READMEs: the targets of make that they name exist") {
    const std::string makefile = read_file("Makefile");
    int targets = 0;
    for (const std::string& readme : readmes())
        for (const std::string& command : commands(read_readme(readme)))
            for (const std::string& target : matches(command, "^ *make ([a-z-]+)( |$)")) {
                CAPTURE(readme);
                CAPTURE(command);
                ++targets;
                CHECK(makefile.find("\n" + target + ":") != std::string::npos);
            }
    CHECK(targets > 30);
}

TEST_CASE("end to end: the programs, jobs and flags of the READMEs' commands exist") {
    const TestDirectory work;
    std::map<std::string, std::set<std::string>> helps;
    int calls = 0;
    const std::regex call(R"(build/(train|sample|data|bench) ?(evaluate [a-z]+|[a-z]+)?(.*))");
    for (const std::string& readme : readmes())
        for (const std::string& command : commands(read_readme(readme))) {
            std::smatch found;
            if (!std::regex_search(command, found, call)) continue;
            ++calls;
            CAPTURE(readme);
            CAPTURE(command);
            const std::string program = found[1], job = found[2];
            if (!helps.contains(program + job)) {
                Words words{"--help"};
                const std::size_t space = job.find(' ');
                if (!job.empty()) words.insert(words.begin(), job.substr(0, space));
                if (space != std::string::npos) words.insert(words.begin() + 1, job.substr(space + 1));
                const Outcome help = work.run(program, words);
                REQUIRE(help.exit_code == 0);
                helps[program + job] = matches(help.output, "(--[a-z0-9-]+)");
            }
            for (const std::string& flag : matches(found[3], "(--[a-z0-9-]+)"))
                CHECK_MESSAGE(helps[program + job].contains(flag), flag);
        }
    CHECK(calls > 50);
}
