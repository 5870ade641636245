#include "data/charts/captioned_sheet.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/base/error.h"

namespace {

using Captions = std::vector<std::vector<std::string>>;

// Pixels of the text under picture n of a row that are not white.
std::int64_t ink(const Image& sheet, int size, int side, int n) {
    std::int64_t count = 0;
    for (int y = 6 + side; y < captioned_sheet_pitch(size); ++y)
        for (int x = 6 + n * (side + 6); x < (n + 1) * (side + 6); ++x)
            count += sheet.pixels[static_cast<std::size_t>((y * sheet.width + x) * 3)] < 255;
    return count;
}

}  // namespace

TEST_CASE("captioned sheet: pictures in rows, enlarged, each above its captions") {
    std::vector<std::uint8_t> pictures(3 * 3 * 64 * 64);
    for (std::size_t n = 0; n < 3; ++n)
        std::fill_n(pictures.begin() + static_cast<std::ptrdiff_t>(n * 12288), 12288, 50 * (n + 1));
    const Captions captions{{"a cat"}, {}, {"a dog that is described at some length", "größer"}};
    const Image sheet = captioned_sheet(pictures, 3, 64, 3, captions);
    REQUIRE(sheet.channels == 3);
    REQUIRE(sheet.width == 6 + 3 * 198);
    REQUIRE(sheet.height == 6 + captioned_sheet_pitch(64));
    const auto at = [&](int x, int y) {
        return sheet.pixels[static_cast<std::size_t>((y * sheet.width + x) * 3)];
    };
    CHECK(at(5, 6) == 255);
    CHECK(at(6, 6) == 50);
    CHECK(at(197, 197) == 50);
    CHECK(at(204, 6) == 100);
    CHECK(at(402, 6) == 150);
    CHECK(ink(sheet, 64, 192, 0) > 20);
    CHECK(ink(sheet, 64, 192, 1) == 0);
    CHECK(ink(sheet, 64, 192, 2) > 2 * ink(sheet, 64, 192, 0));
    CHECK(captioned_sheet(pictures, 3, 64, 1, captions).height == 6 + 3 * captioned_sheet_pitch(64));

    // Grey pictures, and more words than there is room for.
    const std::vector<std::uint8_t> grey(2 * 300 * 300, 90);
    const Captions long_ones{{std::string(4000, 'x') + " word"},
                             std::vector<std::string>(50, "many of them")};
    const Image large = captioned_sheet(grey, 1, 300, 2, long_ones);
    CHECK(large.width == 6 + 2 * 306);
    CHECK(ink(large, 300, 300, 1) > 100);
    CHECK_THROWS_AS(captioned_sheet({}, 3, 4096, 1, Captions(50'000)), UsageError);
}
