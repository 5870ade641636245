#include "data/text/text_cleaning.h"

#include <doctest/doctest.h>

#include <string>

#include "data/text/html_entities.h"
#include "data/text/normalization.h"
#include "data/text/utf8.h"

namespace {

std::string repaired(std::u32string_view text) {
    return encode_utf8(repair_text(text));
}

std::string unescaped(std::u32string_view text) {
    return encode_utf8(unescape_html(text));
}

std::string lowered(std::u32string_view text) {
    return encode_utf8(lower_case(text));
}

std::string utf8(std::u32string_view text) {
    return encode_utf8(text);
}

}  // namespace

TEST_CASE("CLIP tokenizer: repair of entities, known as a whole and ended by a semicolon") {
    CHECK(repaired(U"&eacute; &EACUTE; &#233; &#xE9; &#XE9;") == utf8(U"é É é é é"));
    CHECK(repaired(U"&amp &eacutex; &ampersand; &#; &#x; &#12ab; &;") ==
          "&amp &eacutex; &ampersand; &#; &#x; &#12ab; &;");
    CHECK(repaired(U"&amp;amp;eacute;") == utf8(U"é"));  // until nothing changes
    CHECK(repaired(U"&#59;") == "&#59;");                // a ; in the result
    CHECK(repaired(U"&#38;#59;") == "&#59;");
    CHECK(repaired(U"a&#1;b &#0; &#x80; &#xFFFF;c") == utf8(U"ab \uFFFD € c"));
    CHECK(repaired(U"&#000000000000000000000065; &#0000000000000000000000065;") ==
          "A &#0000000000000000000000065;");  // 24 letters and digits, and 25
    CHECK(repaired(U"&CounterClockwiseContourIntegral;") == "&CounterClockwiseContourIntegral;");
}

TEST_CASE("CLIP tokenizer: a < leaves the entities of its line and of later ones unrepaired") {
    CHECK(repaired(U"&lt;\n&lt;\na < &lt;\n&lt;") == "<\n<\na < &lt;\n&lt;");
    CHECK(repaired(U"&lt;&amp;") == "<&");
    // Lines are those of the text as it is given: a CR does not end one.
    CHECK(repaired(U"&lt;\r<") == "&lt;\n<");
}

TEST_CASE("CLIP tokenizer: repair of single characters") {
    CHECK(repaired(U"\u0080\u0081\u0085\u009F") == utf8(U"€\u0081…Ÿ"));
    CHECK(repaired(U"ﬁ Ⅷ Ａ１ ｶ ㍍ ĳ ŉ") == utf8(U"fi Ⅷ A1 カ ㍍ ij 'n"));
    CHECK(repaired(U"‘a’ ‚b‛ ʼ “c” „d‟") == "'a' 'b' ' \"c\" \"d\"");
    CHECK(repaired(U"a\r\nb\rc\u2028d\u2029e\n\rf") == "a\nb\nc\nd\ne\n\nf");
    CHECK(repaired(U"\u001B[1;31mred\u001B[0m \u001B[m\u001B[12~ \u001B[") == "red [12~ [");
    CHECK(repaired(std::u32string(U"a\0b\u0008c\u000Bd\u000Ee\u001Ff\u007Fg", 13)) == "abcdefg");
    CHECK(repaired(U"a\u206Ab\u206Fc\uFEFFd\uFFF9e\uFFFCf") == "abcdef");
    CHECK(repaired(U"\t\u000C\u2060\u2069\uFFFD") == utf8(U"\t\u000C\u2060\u2069\uFFFD"));
    // What a step uncovers, the next round repairs.
    CHECK(repaired(std::u32string(U"&a\0mp;", 6)) == "&");
    CHECK(repaired(U"&\u001B[1mamp;") == "&");
}

TEST_CASE("CLIP tokenizer: normalization form C") {
    const auto normalized = [](std::u32string_view text) { return encode_utf8(normalize_nfc(text)); };
    CHECK(normalized(U"e\u0301 \u00E9 \u212B \u2126") == utf8(U"\u00E9 \u00E9 \u00C5 \u03A9"));
    CHECK(normalized(U"a\u0323\u0302") == utf8(U"\u1EAD"));
    CHECK(normalized(U"a\u0302\u0323") == utf8(U"\u1EAD"));  // ordered by class
    CHECK(normalized(U"a\u0315\u0300\u05AE\u0062") == utf8(U"\u00E0\u05AE\u0315b"));
    CHECK(normalized(U"a\u0346\u0301") == utf8(U"a\u0346\u0301"));  // blocked by a mark of its class
    CHECK(normalized(U"a\u0300\u0301") == utf8(U"\u00E0\u0301"));
    CHECK(normalized(U"\u0915\u093C \u0958") == utf8(U"\u0915\u093C \u0915\u093C"));  // excluded
    CHECK(normalized(U"\u09C7\u09BE") == utf8(U"\u09CB"));                            // both of class 0
    CHECK(normalized(U"\u0301a") == utf8(U"\u0301a"));
    CHECK(normalized(U"\u1100\u1161 \u1112\u1175\u11C2") == utf8(U"\uAC00 \uD7A3"));
    CHECK(normalized(U"\uAC00\u11A8 \uAC01\u11A8 \uAC00\u11A7") == utf8(U"\uAC01 \uAC01\u11A8 \uAC00\u11A7"));
    CHECK(normalized(U"\U0001D15E \uF900") == utf8(U"\U0001D157\U0001D165 \u8C48"));
    CHECK(normalized(U"") == "");
}

TEST_CASE("CLIP tokenizer: HTML5 entities, with and without semicolon") {
    CHECK(unescaped(U"&amp; &amp &ampersand &notit; &notin;") == utf8(U"& & &ersand ¬it; ∉"));
    CHECK(unescaped(U"&amp;lt; &EACUTE; &hellip &hellip;") == utf8(U"&lt; &EACUTE; &hellip …"));
    CHECK(unescaped(U"& &; &# &#; &#x; &#xg &\t&") == "& &; &# &#; &#x; &#xg &\t&");
    CHECK(unescaped(U"&#65 &#65; &#x41b &#x41;b &#X41") == utf8(U"A A \u041B Ab A"));
    CHECK(unescaped(U"&#0;&#xD800;&#x110000;&#99999999999999999999;") == utf8(U"\uFFFD\uFFFD\uFFFD\uFFFD"));
    CHECK(unescaped(U"&#4294967361;&#x100000041;") == utf8(U"\uFFFD\uFFFD"));  // 2^32 + 65
    CHECK(unescaped(U"a&#1;&#8;&#11;&#14;&#31;&#127;&#xFDD0;&#xFDEF;&#xFFFE;&#x10FFFF;b") == "ab");
    CHECK(unescaped(U"&#9;&#10;&#12;&#13;&#32;") == "\t\n\f\r ");
    CHECK(unescaped(U"&#x80;&#x81;&#x9F;") == utf8(U"€\u0081Ÿ"));
    CHECK(unescaped(U"&lté &lt=&gt,") == utf8(U"<é <=>,"));
    CHECK(unescaped(U"&CounterClockwiseContourIntegral;") == utf8(U"∳"));  // 31 letters
    // 32 characters at most: of the next &, nothing is taken.
    CHECK(unescaped(U"&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&lt") == "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa<");
    CHECK(unescaped(U"&l &g; &t") == "&l &g; &t");
    CHECK(unescaped(U"&NotEqualTilde;") == utf8(U"\u2242\u0338"));
}

TEST_CASE("CLIP tokenizer: white space is one space, none at the ends") {
    const auto collapsed = [](std::u32string_view text) { return encode_utf8(collapse_spaces(text)); };
    CHECK(collapsed(U" a \t\r\n\v\fb\u0085\u00A0c\u1680\u2000\u200A\u2028\u2029\u202F\u205F\u3000 ") ==
          "a b c");
    CHECK(collapsed(U"a\u200Bb\u180Ec") == utf8(U"a\u200Bb\u180Ec"));  // no white space
    CHECK(collapsed(U" \n ") == "");
}

TEST_CASE("CLIP tokenizer: lower case and the final sigma") {
    CHECK(lowered(U"ABC ÄÖ ǅ ẞ K") == utf8(U"abc äö ǆ ß k"));
    CHECK(lowered(U"İ") == utf8(U"i\u0307"));
    CHECK(lowered(U"ΟΔΟΣ ΣΟΦΟΣ") == utf8(U"οδος σοφος"));
    CHECK(lowered(U"Σ") == utf8(U"σ"));
    CHECK(lowered(U"1Σ ΑΣ1") == utf8(U"1σ ας1"));
    CHECK(lowered(U"ΑΣ. ΑΣ.Β") == utf8(U"ας. ασ.β"));  // a full stop is ignored
    CHECK(lowered(U"Α\u0301\u00ADΣ\u0301'") == utf8(U"α\u0301\u00ADς\u0301'"));
    CHECK(lowered(U"ΑΣΣ") == utf8(U"ασς"));
    CHECK(lowered(U"'Σ Α Σ") == utf8(U"'σ α σ"));
}
