#include "data/charts/prompt_sheet.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "data/charts/font.h"
#include "data/images/sheet.h"

TEST_CASE("prompt sheet: each text under its own rows of pictures") {
    // Two texts with three pictures each, in rows of two: the first text's black, the other's red.
    constexpr int size = 64, pitch = 66;
    std::vector<std::uint8_t> pictures(6 * 3 * size * size);
    for (std::size_t i = 3; i < 6; ++i)
        std::fill_n(pictures.begin() + static_cast<std::ptrdiff_t>(i * 3 * size * size), size * size, 255);
    const Image sheet = prompt_sheet(pictures, 3, size, 2, std::vector<std::string>{"a", "b"});
    CHECK(sheet.channels == 3);
    CHECK(sheet.width == 2 * pitch + 2);
    const int group = sheet.height / 2;
    CHECK(group > 2 * pitch + 2);
    const auto red_at = [&](int x, int y) {
        const auto at = static_cast<std::size_t>((y * sheet.width + x) * 3);
        return std::pair(sheet.pixels[at], sheet.pixels[at + 1]);
    };
    CHECK(red_at(30, 30) == std::pair<std::uint8_t, std::uint8_t>(0, 0));
    CHECK(red_at(30, 30 + pitch) == std::pair<std::uint8_t, std::uint8_t>(0, 0));
    CHECK(red_at(30 + pitch, 30 + pitch) == std::pair<std::uint8_t, std::uint8_t>(255, 255));
    CHECK(red_at(30, group + 30) == std::pair<std::uint8_t, std::uint8_t>(255, 0));
    // Ink between the groups.
    bool ink = false;
    for (int y = 2 * pitch + 2; y < group; ++y)
        for (int x = 0; x < sheet.width; ++x) ink |= red_at(x, y).second < 128;
    CHECK(ink);
}

TEST_CASE("font: text is wrapped at spaces, a longer word within") {
    using Lines = std::vector<std::string>;
    CHECK(wrapped_text("a red fern", 6 * letter_pitch) == Lines{"a red", "fern"});
    CHECK(wrapped_text("a red fern", 100 * letter_pitch) == Lines{"a red fern"});
    CHECK(wrapped_text("abcdefgh", 3 * letter_pitch) == Lines{"abc", "def", "gh"});
    CHECK(wrapped_text("", 10) == Lines{""});
}
