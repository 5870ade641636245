// build/data tokenize: captions as ids.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/end_to_end/refusal.h"

namespace {

std::string printed(const TestDirectory& work, const Words& more) {
    const Outcome outcome = work.run("data", Words{"tokenize"} + more);
    REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    CHECK(outcome.errors.empty());
    return outcome.output;
}

int words_in(const std::string& line) {
    std::istringstream stream(line);
    int count = 0;
    for (std::string word; stream >> word;) ++count;
    return count;
}

}  // namespace

TEST_CASE("end to end: build/data tokenize prints the ids of a caption") {
    const TestDirectory work;
    CHECK(printed(work, {"--text", "A photo of a cat"}) == "49406 320 1125 539 320 2368 49407\n");
    CHECK(printed(work, {"--text", " "}) == "49406 49407\n");
    CHECK(printed(work, {"--text", "&lt", "--variant", "hf"}) == "49406 261 3333 49407\n");
    CHECK(printed(work, {"--text", "<end_of_text>", "--variant", "open_clip"}) == "49406 49407 49407\n");
    const std::string zeros = printed(work, {"--text", "cat", "--pad"}),
                      ends = printed(work, {"--text", "cat", "--pad", "--variant", "hf"});
    CHECK(words_in(zeros) == 77);
    CHECK(zeros.starts_with("49406 2368 49407 0 0"));
    CHECK(words_in(ends) == 77);
    CHECK(ends.starts_with("49406 2368 49407 49407 49407"));
    std::string longer;
    for (int i = 0; i < 100; ++i) longer += "cat ";
    CHECK(words_in(printed(work, {"--text", longer})) == 77);
}

TEST_CASE("end to end: build/data tokenize prints a line for each line of a file") {
    const TestDirectory work;
    work.write("captions.txt",
               "\xEF\xBB\xBF"
               "A cat\r\n\r\n\xFF\na dog");
    const std::string path = work.path("captions.txt");
    CHECK(printed(work, {"--file", path}) ==
          "49406 320 2368 49407\n49406 49407\n49406 39802 49407\n49406 320 1929 49407\n");
    work.write("ended.txt", "a cat\n");
    CHECK(printed(work, {"--file", work.path("ended.txt")}) == "49406 320 2368 49407\n");
    work.write("empty.txt", "");
    CHECK(printed(work, {"--file", work.path("empty.txt")}).empty());
    CHECK(printed(work, {"--file", work.path("empty.txt"), "--json"}) == "[]\n");

    const auto array = nlohmann::json::parse(printed(work, {"--file", path, "--json"}));
    REQUIRE(array.size() == 4);
    CHECK(array[0] ==
          nlohmann::json{{"text", "A cat"}, {"ids", {49406, 320, 2368, 49407}}, {"clean", "a cat"}});
    CHECK(array[2]["text"] == "\xEF\xBF\xBD");
    const auto object = nlohmann::json::parse(printed(work, {"--text", "A cat", "--json"}));
    CHECK(object == array[0]);
}

TEST_CASE("end to end: build/data tokenize refuses") {
    const TestDirectory work;
    work.write("captions.txt", "a cat\n");
    work.write("utf16.txt", std::string("\xFF\xFE"
                                        "a\0",
                                        4));
    const std::string path = work.path("captions.txt");
    for (const Refusal& refusal : std::vector<Refusal>{
             {"data", {"tokenize"}, 2, {"--text", "--file"}},
             {"data", {"tokenize", "--text", "a", "--file", path}, 2, {"--text", "--file"}},
             {"data",
              {"tokenize", "--text", "a", "--variant", "bert"},
              2,
              {"--variant", "bert", "open_clip"}},
             {"data", {"tokenize", "--file", work.path("nowhere.txt")}, 2, {"nowhere.txt"}},
             {"data", {"tokenize", "--file", work.at("").string()}, 2, {"not a file"}},
             {"data", {"tokenize", "--file", work.path("utf16.txt")}, 2, {"utf16.txt", "UTF-16"}}})
        check_refusal(work, refusal);
}
