// Classes of an evaluation's pictures.
#include "train/search/strategy_objective.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

TEST_CASE("evaluation: balanced classes are a shuffled round of all after another, of the seed") {
    const auto classes = evaluation_classes(10, true, 7, 0, 500);
    std::vector<std::int64_t> all(10);
    std::iota(all.begin(), all.end(), 0);
    for (auto round = classes.begin(); round != classes.end(); round += 10)
        CHECK(std::is_permutation(round, round + 10, all.begin()));
    CHECK_FALSE(std::equal(classes.begin(), classes.begin() + 10, classes.begin() + 10));
    CHECK(evaluation_classes(10, true, 8, 0, 500) != classes);
    // However the pictures are shared out.
    const auto part = evaluation_classes(10, true, 7, 123, 45);
    CHECK(std::equal(part.begin(), part.end(), classes.begin() + 123));
    // More texts than pictures: none twice.
    auto texts = evaluation_classes(5000, true, 7, 0, 500);
    std::ranges::sort(texts);
    CHECK(std::ranges::adjacent_find(texts) == texts.end());
}

TEST_CASE("evaluation: independent classes are uniform, those of a model without are -1") {
    const auto classes = evaluation_classes(10, false, 7, 0, 10000);
    CHECK(std::ranges::count(classes, 0) != 1000);
    for (std::int64_t c = 0; c < 10; ++c)
        CHECK(std::abs(std::ranges::count(classes, c) - 1000) < 150);  // 5 sigma
    for (const bool balanced : {false, true})
        CHECK(evaluation_classes(0, balanced, 7, 0, 3) == std::vector<std::int64_t>{-1, -1, -1});
}
