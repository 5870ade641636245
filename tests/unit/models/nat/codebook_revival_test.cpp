#include "models/nat/codebook_revival.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

namespace {

struct Codebook {
    Codebook() : tokenizer(config(), Device::cpu) { tokenizer.parameters().allocate(Device::cpu, false); }
    static TokenizerConfig config() {
        TokenizerConfig config;
        config.ch = 32;
        config.ch_mult = {1};
        config.num_res_blocks = 1;
        config.z_channels = config.embed_dim = 2;
        config.n_embed = 6;
        return config;
    }
    float first(std::int64_t entry) const { return tokenizer.codebook().value[2 * entry]; }
    // The first elements of all entries, in order.
    std::multiset<float> places() const {
        std::multiset<float> all;
        for (std::int64_t entry = 0; entry < 6; ++entry) all.insert(first(entry));
        return all;
    }
    Tokenizer tokenizer;
};

// Vectors (1, -1), (2, -2), ...
std::vector<float> vectors(int count) {
    std::vector<float> all;
    for (int i = 1; i <= count; ++i) all.insert(all.end(), {static_cast<float>(i), static_cast<float>(-i)});
    return all;
}

const std::vector<std::int32_t> codes{1, 4, 4};

}  // namespace

TEST_CASE(
    "codebook revival: the first batch places every entry, at different vectors while there are enough") {
    Codebook codebook;
    CodebookRevival revival(6, 3, 1);
    revival.note(codes, 0);
    REQUIRE(revival.needed(0));
    revival.revive(codebook.tokenizer, vectors(6), 0);
    CHECK(codebook.places() == std::multiset<float>{1, 2, 3, 4, 5, 6});
    CHECK(codebook.tokenizer.codebook().value[1] == -codebook.first(0));
    CHECK_FALSE(revival.needed(1));
    CodebookRevival few(6, 3, 1);
    few.revive(codebook.tokenizer, vectors(2), 0);
    CHECK(codebook.places() == std::multiset<float>{1, 1, 1, 2, 2, 2});
}

TEST_CASE("codebook revival: entries without use for the whole patience move, others stay") {
    Codebook codebook;
    CodebookRevival revival(6, 3, 1);
    revival.revive(codebook.tokenizer, vectors(6), 0);
    for (std::int64_t step = 1; step <= 3; ++step) revival.note(codes, step);
    CHECK_FALSE(revival.needed(2));
    REQUIRE(revival.needed(3));
    const float kept[] = {codebook.first(1), codebook.first(4)};
    revival.revive(codebook.tokenizer, std::vector<float>(20, 9.0f), 3);
    CHECK(codebook.first(1) == kept[0]);
    CHECK(codebook.first(4) == kept[1]);
    CHECK(codebook.places().count(9.0f) == 4);
    CHECK_FALSE(revival.needed(5));
    CHECK(revival.needed(6));
}

TEST_CASE("codebook revival: what a checkpoint kept is where it goes on") {
    CodebookRevival revival(6, 3, 1), resumed(6, 3, 1);
    Codebook codebook, other;
    revival.revive(codebook.tokenizer, vectors(8), 0);
    revival.note(codes, 2);
    resumed.last_used() = revival.last_used();
    revival.revive(codebook.tokenizer, vectors(8), 3);
    resumed.revive(other.tokenizer, vectors(8), 3);
    for (const std::int64_t entry : {0, 2, 3, 5}) CHECK(codebook.first(entry) == other.first(entry));
}
