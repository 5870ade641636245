#include "data/charts/drawing.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <set>

namespace {

Rgb pixel(const Drawing& drawing, int x, int y) {
    const std::uint8_t* at =
        &drawing.image().pixels[static_cast<std::size_t>((y * drawing.image().width + x) * 3)];
    return {at[0], at[1], at[2]};
}

int inked_pixels(const Drawing& drawing) {
    int count = 0;
    for (int y = 0; y < drawing.image().height; ++y)
        for (int x = 0; x < drawing.image().width; ++x)
            count += pixel(drawing, x, y) == Rgb{255, 255, 255} ? 0 : 1;
    return count;
}

constexpr Rgb white{255, 255, 255}, blue{0, 100, 200};

}  // namespace

TEST_CASE("drawing: a line along the middles of pixels is sharp, one between two rows shared by both") {
    Drawing drawing(12, 8);
    CHECK(inked_pixels(drawing) == 0);
    drawing.draw_path(std::vector<Position>{{2.5, 3.5}, {8.5, 3.5}}, 1, blue);
    for (int x = 2; x <= 8; ++x) {
        CHECK(pixel(drawing, x, 3) == blue);
        CHECK(pixel(drawing, x, 2) == white);
        CHECK(pixel(drawing, x, 4) == white);
    }
    CHECK(inked_pixels(drawing) == 7);

    Drawing between(12, 8);
    between.draw_path(std::vector<Position>{{2.5, 4}, {8.5, 4}}, 1, blue);
    CHECK(pixel(between, 5, 3) == Rgb{128, 178, 228});
    CHECK(pixel(between, 5, 4) == Rgb{128, 178, 228});
    CHECK(pixel(between, 5, 5) == white);
}

TEST_CASE("drawing: where lines of a shape cross, the colour is the same") {
    Drawing drawing(12, 12);
    drawing.draw(std::vector<Stroke>{{{0.5, 6}, {11.5, 6}}, {{0.5, 6}, {11.5, 6}}, {{6, 0.5}, {6, 11.5}}}, 1,
                 blue);
    CHECK(pixel(drawing, 2, 5) == Rgb{128, 178, 228});
    CHECK(pixel(drawing, 5, 2) == Rgb{128, 178, 228});
    CHECK(pixel(drawing, 5, 5) == Rgb{128, 178, 228});
    // The next shape is drawn over it.
    drawing.draw_path(std::vector<Position>{{0.5, 5.5}, {11.5, 5.5}}, 1, {0, 0, 0});
    CHECK(pixel(drawing, 2, 5) == Rgb{0, 0, 0});
}

TEST_CASE("drawing: a dot is round, and what lies outside is not drawn") {
    Drawing drawing(9, 9);
    drawing.draw_path(std::vector<Position>{{4.5, 4.5}}, 5, blue);
    CHECK(pixel(drawing, 4, 4) == blue);
    CHECK(pixel(drawing, 2, 4) == blue);
    CHECK(pixel(drawing, 6, 4) == blue);
    CHECK(pixel(drawing, 1, 4) == white);
    CHECK(pixel(drawing, 2, 2) != blue);
    Drawing edge(9, 9);
    edge.draw_path(std::vector<Position>{{-30, -30}, {30, 30}}, 1, blue);
    CHECK(pixel(edge, 0, 0) == blue);
    CHECK(pixel(edge, 8, 8) == blue);
    edge.draw_path(std::vector<Position>{{100, -50}, {120, 1e9}}, 3, blue);
    CHECK(pixel(edge, 8, 0) == white);
    CHECK(tint(blue, 0.5) == Rgb{128, 178, 228});
}

TEST_CASE("drawing: text starts, is centred or ends where it should") {
    const auto extent = [](Alignment alignment, std::string_view text) {
        Drawing drawing(200, 40);
        drawing.write({100, 20}, text, 2, {0, 0, 0}, alignment);
        std::set<int> columns, rows;
        for (int y = 0; y < 40; ++y)
            for (int x = 0; x < 200; ++x)
                if (pixel(drawing, x, y).red < 128) {
                    columns.insert(x);
                    rows.insert(y);
                }
        REQUIRE(!columns.empty());
        return std::vector{*columns.begin(), *columns.rbegin(), *rows.begin(), *rows.rbegin()};
    };
    // Two capitals: 5 units each and one between them, 6 units high.
    CHECK(extent(Alignment::left, "HH") == std::vector{100, 120, 8, 20});
    CHECK(extent(Alignment::right, "HH") == std::vector{80, 100, 8, 20});
    CHECK(extent(Alignment::centre, "HH") == std::vector{90, 110, 8, 20});
    CHECK(extent(Alignment::left, "g").at(3) == 24);  // hangs 2 units below the baseline
}

TEST_CASE("font: every character is its own") {
    std::set<std::string> seen;
    for (char c = ' '; c <= '~'; ++c) {
        std::string shape;
        for (const Stroke& stroke : text_strokes(std::string(1, c))) {
            for (const Position end : {stroke.from, stroke.to}) {
                CHECK(end.x >= 0);
                CHECK(end.x <= 4);
                CHECK(end.y >= -letter_height);
                CHECK(end.y <= 2);
                shape += fmt::format("{},{} ", end.x, end.y);
            }
        }
        CHECK(shape.empty() == (c == ' '));
        if (c != 'O') CHECK_MESSAGE(seen.insert(shape).second, "twice: ", c);  // O is drawn as 0
    }
}

TEST_CASE("font: letters stand side by side, and what ASCII lacks becomes a question mark") {
    // A T: one line across, one down.
    const auto strokes = text_strokes("T");
    int across = 0, down = 0, rests = 0;
    for (const Stroke& stroke : strokes) {
        const double right = stroke.to.x - stroke.from.x, below = stroke.to.y - stroke.from.y;
        across += stroke.from.y == -6 && right == 1 && below == 0 ? 1 : 0;
        down += stroke.from.x == 2 && right == 0 && below == 1 ? 1 : 0;
        rests += right == 0 && below == 0 ? 1 : 0;
    }
    CHECK(across == 4);
    CHECK(down == 6);
    CHECK(static_cast<int>(strokes.size()) == across + down + rests);
    const auto two = text_strokes("IT");
    CHECK(two.back().from.x == text_strokes("T").back().from.x + letter_pitch);
    CHECK(text_strokes("caf\xC3\xA9").size() == text_strokes("caf?").size());
    CHECK(text_width("caf\xC3\xA9") == text_width("cafe"));
    CHECK(text_width("ab") == 2 * letter_pitch - 2);
    CHECK(text_width("") == 0);
}
