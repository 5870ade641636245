#include "data/text/clip_tokenizer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/base/error.h"

namespace {

using Ids = std::vector<std::int32_t>;
using Pieces = std::vector<std::string>;

const ClipTokenizer& openai() {
    static const ClipTokenizer tokenizer(clip_openai);
    return tokenizer;
}

const ClipTokenizer& open_clip() {
    static const ClipTokenizer tokenizer(clip_open_clip);
    return tokenizer;
}

const ClipTokenizer& hf() {
    static const ClipTokenizer tokenizer(clip_hf);
    return tokenizer;
}

// Without start and end.
Ids words(const ClipTokenizer& tokenizer, const std::string& text) {
    Ids ids = tokenizer.encode(text);
    REQUIRE(ids.size() >= 2);
    CHECK(ids.front() == tokenizer.start());
    CHECK(ids.back() == tokenizer.end());
    return {ids.begin() + 1, ids.end() - 1};
}

// The ids of a text are those of its pieces, each alone. Pieces must not be contractions.
void check_split(const std::string& text, const Pieces& pieces) {
    CAPTURE(text);
    Ids expected;
    for (const std::string& piece : pieces) {
        const Ids ids = words(openai(), piece);
        expected.insert(expected.end(), ids.begin(), ids.end());
    }
    CHECK(words(openai(), text) == expected);
}

std::string repeated(const std::string& text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
}

}  // namespace

TEST_CASE("CLIP tokenizer: ids of a caption") {
    CHECK(openai().encode("A photo of a cat") == Ids{49406, 320, 1125, 539, 320, 2368, 49407});
    CHECK(openai().encode("") == Ids{49406, 49407});
    CHECK(openai().vocabulary_size() == 49'408);
}

TEST_CASE("CLIP tokenizer: a text falls into letters, single numbers and signs") {
    check_split("abc123def", {"abc", "1", "2", "3", "def"});
    check_split("a!?b -- c", {"a", "!?", "b", "--", "c"});
    check_split("½ⅷ漢字x²", {"½", "ⅷ", "漢字x", "²"});
    check_split("e\u0301\u0316", {"é", "\u0316"});  // a mark is no letter
    check_split("a\u200Bb", {"a", "\u200B", "b"});
    check_split("a\u0345b!\u0345?", {"a", "b", "!", "?"});
    CHECK(words(openai(), "\u0345") == Ids{});
    CHECK(words(openai(), "abc") != words(openai(), "a b c"));
}

TEST_CASE("CLIP tokenizer: contractions are pieces where an apostrophe starts one") {
    const Ids it = words(openai(), "it");
    for (const char* ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
        const Ids alone = words(openai(), ending);
        CHECK(alone.size() == 1);
        Ids both = it;
        both.push_back(alone[0]);
        CHECK(words(openai(), std::string("it") + ending) == both);
    }
    CHECK(words(openai(), "IT’S") == words(openai(), "it's"));
    check_split("''s", {"''", "s"});  // the first apostrophe starts a run of signs
    CHECK(words(openai(), "'sit").front() == words(openai(), "'s")[0]);
    // A long s counts as s: one piece, of the apostrophe and its two bytes.
    CHECK(words(openai(), "'ſ") != [] {
        Ids apart = words(openai(), "'");
        const Ids letter = words(openai(), "ſ");
        apart.insert(apart.end(), letter.begin(), letter.end());
        return apart;
    }());
}

TEST_CASE("CLIP tokenizer: specials are the ids of start and end, as each variant spells them") {
    for (const ClipTokenizer* tokenizer : {&openai(), &hf()}) {
        CHECK(words(*tokenizer, "<|startoftext|>a<|EndOfText|>") == Ids{49406, 320, 49407});
        CHECK(words(*tokenizer, "<start_of_text>").size() > 1);
    }
    CHECK(words(open_clip(), "<start_of_text> a <end_of_text>") == Ids{49406, 320, 49407});
    CHECK(words(open_clip(), "<|endoftext|>").size() > 1);
    // Only where a piece starts; a run of signs takes the <| with it.
    check_split("!<|endoftext|>", {"!<|", "endoftext", "|>"});
    // A long s makes one piece of it, but no special.
    CHECK(words(openai(), "<|ſtartoftext|>") != Ids{49406});
}

// Values of transformers 4.46.3.
TEST_CASE("CLIP tokenizer: transformers' cuts the text at the specials before it cleans the parts") {
    CHECK(words(hf(), "!<|endoftext|>") == Ids{256, 49407});
    CHECK(words(hf(), "&amp; <|startoftext|> x") == Ids{261, 49406, 343});
    CHECK(words(hf(), "&lt;<|endoftext|>&lt;") == Ids{283, 49407, 283});
    CHECK(words(hf(), "!<|ENDOFTEXT|>") == Ids{0, 27, 347, 40786, 4160, 91, 285});  // not as it is spelled
    CHECK(hf().clean(" A&amp;B<|endoftext|><|startoftext|>  C ") == "a&b <|endoftext|> <|startoftext|> c");
    CHECK(openai().clean("A<|endoftext|> C") == "a<|endoftext|> c");
}

TEST_CASE("CLIP tokenizer: variants differ in HTML entities") {
    CHECK(openai().clean("&amp &notit; <b>&eacute;</b>") == "& ¬it; <b>é</b>");
    CHECK(open_clip().clean("&amp &notit; <b>&eacute;</b>") == "& ¬it; <b>é</b>");
    CHECK(hf().clean("&amp &notit; <b>&eacute;</b>") == "&amp &notit; <b>&eacute;</b>");
    CHECK(hf().clean("&EACUTE; &amp;lt;") == "é <");
    CHECK(openai().clean("< &amp;amp; &nbsp; x") == "< & x");  // spaces of entities collapse
    CHECK(openai().clean("< &amp;amp;amp;") == "< &amp;");     // unescaped twice
}

TEST_CASE("CLIP tokenizer: a text too long keeps its first 75 ids and the end") {
    const std::string fits = repeated("cat ", 75), longer = repeated("cat ", 76);
    CHECK(openai().encode(fits).size() == 77);
    CHECK(openai().encode_truncated(fits) == openai().encode(fits));
    CHECK(openai().encode(longer).size() == 78);
    CHECK(openai().encode_truncated(longer) == openai().encode(fits));
    CHECK(openai().encode_padded(longer) == openai().encode(fits));
}

TEST_CASE("CLIP tokenizer: padding is 0, in transformers the end") {
    for (const ClipTokenizer* tokenizer : {&openai(), &open_clip(), &hf()}) {
        const Ids ids = tokenizer->encode_padded("cat");
        REQUIRE(ids.size() == 77);
        CHECK(Ids(ids.begin(), ids.begin() + 3) == Ids{49406, 2368, 49407});
        const std::int32_t padding = tokenizer == &hf() ? 49407 : 0;
        CHECK(std::all_of(ids.begin() + 3, ids.end(), [&](std::int32_t id) { return id == padding; }));
    }
}

TEST_CASE("CLIP tokenizer: a part of the vocabulary has its start and end behind its last pair") {
    const ClipTokenizer small(clip_hf, 486);
    CHECK(small.vocabulary_size() == 1000);
    const Ids ids = small.encode("a photo of a cat");
    CHECK(ids.front() == 998);
    CHECK(ids.back() == 999);
    CHECK(std::ranges::all_of(ids, [](std::int32_t id) { return id < 1000; }));
    CHECK(ids.size() > openai().encode("a photo of a cat").size());
}

TEST_CASE("CLIP tokenizer: invalid UTF-8 becomes U+FFFD") {
    CHECK(openai().clean("a\xFF\xC3") == "a\uFFFD\uFFFD");
    CHECK(words(openai(), "\xFF") == words(openai(), "\uFFFD"));
}

TEST_CASE("CLIP tokenizer: a word of 200,000 bytes") {
    const Ids half = words(openai(), repeated("haha", 25'000)),
              whole = words(openai(), repeated("haha", 50'000));
    CHECK(half.size() > 1000);
    CHECK(whole.size() > 2 * half.size() - 8);
    CHECK(std::equal(half.begin(), half.end() - 8, whole.begin()));  // the last ones depend on the end
}

TEST_CASE("CLIP tokenizer: variants by name") {
    for (const char* name : {"openai", "open_clip", "hf"})
        CHECK(clip_variant("--variant", name).name == name);
    CHECK_THROWS_WITH_AS(clip_variant("--variant", "bert"),
                         "--variant bert: no such tokenizer; expected openai, open_clip or hf", UsageError);
}
