#include "runtime/base/nearest_word.h"

#include <doctest/doctest.h>

#include <vector>

TEST_CASE("nearest word: misspelt, abbreviated, and something else altogether") {
    const std::vector<std::string> flags{"checkpoint", "classes", "count", "cfg", "cfg-schedule", "out"};
    CHECK(nearest_word("checkpont", flags) == "checkpoint");
    CHECK(nearest_word("chekcpoint", flags) == "checkpoint");
    CHECK(nearest_word("Checkpoint", flags) == "checkpoint");
    CHECK(nearest_word("class", flags) == "classes");  // its only continuation
    CHECK(nearest_word("cfg_schedule", flags) == "cfg-schedule");
    CHECK(nearest_word("cnt", flags) == "");  // two letters of three
    CHECK(nearest_word("c", flags) == "");    // several begin with it
    CHECK(nearest_word("ou", flags) == "out");
    CHECK(nearest_word("tokenizer", flags) == "");
    CHECK(nearest_word("", flags) == "");
    CHECK(nearest_word(std::string(100'000, 'a'), flags) == "");
}

TEST_CASE("nearest word: swapped neighbours are one edit, and of equally near words the first counts") {
    CHECK(nearest_word("abdc", std::vector<std::string>{"abxy", "abcd"}) == "abcd");
    CHECK(nearest_word("aaa", std::vector<std::string>{"aab", "aac"}) == "aab");
}
