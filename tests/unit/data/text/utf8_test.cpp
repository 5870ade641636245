#include "data/text/utf8.h"

#include <doctest/doctest.h>

#include <string>

namespace {

// Numbers are readable in messages, char32_t is not.
std::string replaced(const std::string& bytes) {
    return encode_utf8(decode_utf8(bytes));
}

const std::string mark = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace

TEST_CASE("CLIP tokenizer: UTF-8 of every length, at its bounds") {
    for (const char32_t code : {0x0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF}) {
        CAPTURE(static_cast<std::uint32_t>(code));
        CHECK(decode_utf8(encode_utf8(std::u32string{code})) == std::u32string{code});
    }
    CHECK(encode_utf8(U"aé漢😀") == "a\xC3\xA9\xE6\xBC\xA2\xF0\x9F\x98\x80");
    CHECK(decode_utf8("") == U"");
}

TEST_CASE("CLIP tokenizer: an invalid sequence of UTF-8 becomes one U+FFFD") {
    CHECK(replaced("a\xFFz") == "a" + mark + "z");
    CHECK(replaced("\x80\xBF") == mark + mark);
    CHECK(replaced("\xC3") == mark);
    CHECK(replaced("\xC3z") == mark + "z");
    CHECK(replaced("\xC0\xAF") == mark + mark);                        // overlong
    CHECK(replaced("\xE0\x80\x80") == mark + mark + mark);             // overlong
    CHECK(replaced("\xED\xA0\x80") == mark + mark + mark);             // surrogate
    CHECK(replaced("\xF4\x90\x80\x80") == mark + mark + mark + mark);  // above 10FFFF
    CHECK(replaced("\xE6\xBCz") == mark + "z");                        // a beginning counts once
    CHECK(replaced("\xF0\x9F\x98") == mark);
    CHECK(replaced("\xF0\x9F\x98\xC3\xA9") == mark + "\xC3\xA9");
}
