#include "runtime/base/one_line.h"

#include <doctest/doctest.h>

TEST_CASE("one line: what a terminal can show stays, anything else is escaped") {
    CHECK(one_line("ü 猫 🐈.png: not a JPEG or PNG") == "ü 猫 🐈.png: not a JPEG or PNG");
    CHECK(one_line("a\nb\r\tc\x1b[2J\x7f") == "a\\nb\\r\\tc\\x1b[2J\\x7f");
    CHECK(one_line(std::string("a\0b", 3)) == "a\\x00b");
    CHECK(one_line("latin\xe9, cut \xe7\x8c") == "latin\\xe9, cut \\xe7\\x8c");
    CHECK(one_line("\xc2\x9b"
                   "2J, overlong \xc0\x8a, surplus \xf8") ==
          "\\xc2\\x9b"
          "2J, overlong \\xc0\\x8a, surplus \\xf8");
    CHECK(one_line("").empty());
}

TEST_CASE("one line: of a long message the two ends are left") {
    const std::string message = "file: the key " + std::string(1'000'000, 'k') + " is not known";
    const std::string line = one_line(message);
    CHECK(line.size() < 2000);
    CHECK(line.starts_with("file: the key kkk"));
    CHECK(line.ends_with("kkk is not known"));
    // Escapes count with their printed length.
    const std::string rubbish = one_line("file: the key " + std::string(1100, '\xff') + " is not known");
    CHECK(rubbish.size() < 1010);
    CHECK(rubbish.starts_with("file: the key \\xff"));
    CHECK(rubbish.ends_with("\\xff is not known"));
    const std::string short_enough = "file: the key " + std::string(200, '\xff');
    CHECK(one_line(short_enough).size() == 14 + 4 * 200);
}
