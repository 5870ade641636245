// Which candidates of the masks' distribution are trained to their end.
#include "train/search/mask_search.h"

#include <doctest/doctest.h>

namespace {

MaskCandidate candidate(double alpha, const std::vector<double>& distances) {
    MaskCandidate made{{alpha, 3}, "", {}};
    for (const double distance : distances) made.figures.push_back({.frechet = distance});
    return made;
}

std::vector<double> alphas(const std::vector<MaskRule>& masks) {
    std::vector<double> all;
    for (const MaskRule& mask : masks) all.push_back(mask.alpha);
    return all;
}

}  // namespace

TEST_CASE("masks: candidates that short runs do not tell apart are trained to their end") {
    // 2 is behind 1 by 0.1, 0.3, 0, an error of 0.09; 3 by 1 each time; 4 by 1, 0, 2.
    const std::vector<MaskCandidate> tried{candidate(1, {1, 2, 3}), candidate(2, {1.1, 2.3, 3}),
                                           candidate(3, {2, 3, 4}), candidate(4, {2, 2, 5})};
    const ObjectiveTerms terms{.frechet = 1};
    using Alphas = std::vector<double>;
    CHECK(alphas(contenders(tried, {9, 3}, terms, 3)) == Alphas{1, 2, 4});
    CHECK(alphas(contenders(tried, {9, 3}, terms, 2)) == Alphas{1, 2});
    CHECK(alphas(contenders(tried, {1, 3}, terms, 2)) == Alphas{2, 4});  // the current one is trained
    // Of one set there is no error.
    CHECK(alphas(contenders({candidate(1, {1}), candidate(2, {1.5})}, {9, 3}, terms, 2)) == Alphas{1});
}
