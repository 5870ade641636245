#include "data/text/byte_pairs.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "data/text/embedded_files.h"
#include "runtime/base/error.h"

namespace {

using Ids = std::vector<std::int32_t>;

Ids encoded(const BytePairs& pairs, std::string_view word) {
    Ids ids;
    pairs.append_word(word, ids);
    return ids;
}

// Ids of a-z: 21 is id 0.
constexpr std::int32_t id_of(char letter) {
    return letter - 0x21;
}

constexpr std::int32_t at_end = 256, first_merge = 512;

// The definition: the lowest pair of all neighbours, which has the lowest id, then all its occurrences.
Ids joined_by_definition(Ids ids, const std::vector<Ids>& merges) {
    for (std::size_t rank = 0; rank < merges.size();) {
        const auto found = std::ranges::search(ids, merges[rank]);
        if (found.empty()) {
            ++rank;
            continue;
        }
        Ids next;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            const bool joins =
                i + 1 < ids.size() && ids[i] == merges[rank][0] && ids[i + 1] == merges[rank][1];
            next.push_back(joins ? first_merge + static_cast<std::int32_t>(rank) : ids[i]);
            i += joins ? 1 : 0;
        }
        ids = next;
        rank = 0;
    }
    return ids;
}

}  // namespace

TEST_CASE("CLIP tokenizer: bytes are the first 512 symbols, visible ones first") {
    const BytePairs pairs("", 0);
    CHECK(pairs.size() == 512);
    CHECK(encoded(pairs, "!") == Ids{256});
    CHECK(encoded(pairs, "!~") == Ids{0, 256 + 93});
    CHECK(encoded(pairs, "\xA1\xAC\xAE\xFF") == Ids{94, 105, 106, 256 + 187});
    CHECK(encoded(pairs, std::string("\x00\x20\x7F\xA0\xAD", 5)) == Ids{188, 220, 221, 254, 256 + 255});
}

TEST_CASE("CLIP tokenizer: the pair of lowest rank is joined first, from left to right") {
    const BytePairs pairs("b c\na b\na a\naa a\nbc d</w>\n", 5);
    CHECK(pairs.size() == 517);
    const std::int32_t a = id_of('a'), c = id_of('c'), x = id_of('x');
    CHECK(encoded(pairs, "abcx") == Ids{a, 512, x + at_end});  // not ab c, though it comes first
    CHECK(encoded(pairs, "abx") == Ids{513, x + at_end});
    CHECK(encoded(pairs, "aaaaax") == Ids{514, 515, x + at_end});  // aa aa a, then aa aaa
    CHECK(encoded(pairs, "bcd") == Ids{516});
    CHECK(encoded(pairs, "bcdc") == Ids{512, id_of('d'), c + at_end});  // d does not end the word
    CHECK(encoded(pairs, "bc") == Ids{id_of('b'), c + at_end});         // c does
}

TEST_CASE("CLIP tokenizer: the queue of pairs joins what the definition joins") {
    const std::string list = "a b\nb a\na a\nab a\nba ba\naa b\naba aba\nb b\nab ab\nbb a</w>\nb a</w>\n";
    const auto count = static_cast<std::int64_t>(std::ranges::count(list, '\n'));
    const std::int32_t a = id_of('a'), b = id_of('b'), ab = 512, ba = 513, aa = 514, aba = 515, bb = 519;
    const std::vector<Ids> merges{{a, b},     {b, a}, {a, a},   {ab, a},          {ba, ba},       {aa, b},
                                  {aba, aba}, {b, b}, {ab, ab}, {bb, a + at_end}, {b, a + at_end}};
    const BytePairs pairs(list, count);
    std::mt19937 random(1);
    for (int trial = 0; trial < 2000; ++trial) {
        std::string word;
        Ids symbols;
        for (std::size_t length = 1 + random() % 20; length > 0; --length) {
            word += random() % 2 == 0 ? 'a' : 'b';
            symbols.push_back(id_of(word.back()));
        }
        symbols.back() += at_end;
        CAPTURE(word);
        CHECK(encoded(pairs, word) == joined_by_definition(symbols, merges));
    }
}

TEST_CASE("CLIP tokenizer: the published merge list makes 49,406 symbols") {
    const std::string_view list = embedded_clip_merges();
    CHECK(list.size() == 524'605);
    CHECK(std::ranges::count(list, '\n') == 48'894);
    CHECK(BytePairs(list, 48'894).size() == 49'406);
}

TEST_CASE("CLIP tokenizer: a malformed merge list is refused with its line") {
    const auto refused = [](const char* list, std::int64_t count, const char* message) {
        CHECK_THROWS_WITH_AS(BytePairs(list, count), message, Error);
    };
    refused("a b\nab\n", 2, "merge list: line 2: \"ab\", expected two symbols of the lines above it");
    refused("a b\n", 2, "merge list: line 2: \"\", expected two symbols of the lines above it");
    refused("a b\nabc d\n", 2, "merge list: line 2: \"abc d\", expected two symbols of the lines above it");
    refused("a b\nb c\nab c\na bc\n", 4,
            "merge list: line 4: \"a bc\", expected a pair that makes a new symbol");
}
