#include "data/charts/chart.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace {

std::string words(const Axis& axis, int most) {
    std::string text;
    for (const std::string& label : tick_labels(axis, ticks(axis, most)))
        text += (text.empty() ? "" : " ") + label;
    return text;
}

Rgb pixel(const Drawing& drawing, int x, int y) {
    const std::uint8_t* at =
        &drawing.image().pixels[static_cast<std::size_t>((y * drawing.image().width + x) * 3)];
    return {at[0], at[1], at[2]};
}

// How much more blue than red, 0 of anything grey.
int blueness(Rgb colour) {
    return colour.blue - colour.red;
}

constexpr Rgb blue{0, 0, 255};

}  // namespace

TEST_CASE("chart: ticks are round numbers") {
    CHECK(words({0, 6000}, 12) == "0 1000 2000 3000 4000 5000 6000");
    CHECK(words({0, 6000}, 13) == "0 500 1000 1500 2000 2500 3000 3500 4000 4500 5000 5500 6000");
    CHECK(words({0, 6000}, 4) == "0 2000 4000 6000");
    CHECK(words({3.41, 7.38}, 10) == "3.5 4.0 4.5 5.0 5.5 6.0 6.5 7.0");
    CHECK(words({-0.3, 0.3}, 4) == "-0.2 0 0.2");
    CHECK(words({0, 3e-3}, 7) == "0 0.0005 0.0010 0.0015 0.0020 0.0025 0.0030");
    CHECK(words({0, 2.9e-7}, 4) == "0 1e-7 2e-7");
    CHECK(words({0, 100'000}, 5) == "0 50k 100k");
    CHECK(words({0, 100'000}, 6) == "0 20k 40k 60k 80k 100k");
    CHECK(words({0, 1'000'000}, 3) == "0 0.5M 1.0M");
    CHECK(words({0, 50'000'000}, 3) == "0 20M 40M");
    CHECK(words({0, 4e12}, 3) == "0 2e12 4e12");
    CHECK(words({262.2999, 262.3001}, 3) == "262.2999 262.3000 262.3001");
}

TEST_CASE("chart: steps are whole numbers") {
    CHECK(words({0, 3, false, true}, 20) == "0 1 2 3");
    CHECK(words({0, 3, false, false}, 7) == "0 0.5 1.0 1.5 2.0 2.5 3.0");
}

TEST_CASE("chart: ticks of a logarithmic axis are powers of ten, more where there is room, fewer where not") {
    CHECK(words({0.09, 21, true}, 12) == "0.1 0.2 0.5 1 2 5 10 20");
    CHECK(words({0.09, 21, true}, 5) == "0.1 0.3 1 3 10");
    CHECK(words({0.09, 21, true}, 3) == "0.1 1 10");
    CHECK(words({0.9e-8, 1.1e8, true}, 5) == "1e-6 0.001 1 1000 1M");
}

TEST_CASE("chart: never more ticks than asked for, and they lie on the axis") {
    std::mt19937 random(1);
    std::uniform_real_distribution<double> exponent(-9, 9), relative(-5, 5);
    for (int trial = 0; trial < 3000; ++trial) {
        const double size = std::pow(10.0, exponent(random)), low = (trial % 3 - 1) * size,
                     span = size * std::pow(10.0, relative(random));
        const int most = 3 + trial % 11;
        Axis axis{low, low + span};
        if (low > 0 && trial % 2 == 0) axis = {low, low * (1 + span), true};
        const auto at = ticks(axis, most);
        CHECK(static_cast<int>(at.size()) <= most);
        CHECK(std::ranges::is_sorted(at));
        if (!axis.logarithmic) CHECK(at.size() >= 1);
        for (const double tick : at) {
            CHECK(axis.share(tick) >= -1e-5);
            CHECK(axis.share(tick) <= 1 + 1e-5);
        }
    }
}

TEST_CASE("chart: numbers above a chart have the digits that their step asks for") {
    CHECK(number_label(3.5614, 1e-3, 3.5614) == "3.561");
    CHECK(number_label(0.076463, 1e-5, 0.076463) == "0.07646");
    CHECK(number_label(1738.2, 1, 1738.2) == "1738");
    CHECK(number_label(12345, 10, 12345) == "12345");
    CHECK(number_label(123456, 100, 123456) == "123.5k");
    CHECK(number_label(2.83528e-10, 1e-13, 2.83528e-10) == "2.835e-10");
    CHECK(number_label(2e12, 1e12, 4e12) == "2e12");
    CHECK(number_label(9.99999e-7, 1e-10, 9.99999e-7) == "1.000e-6");
    CHECK(number_label(-50, 0.01, 50) == "-50.00");
    CHECK(number_label(0, 1e-3, 1) == "0");
    CHECK(number_label(1e-20, 1, 1) == "0");
}

TEST_CASE("chart: an axis shows all values, whatever they are") {
    const auto axis = [](const std::vector<double>& values, bool logarithmic_allowed = true) {
        return value_axis(values, logarithmic_allowed);
    };
    const Axis falling = axis({7.4, 3.4, 3.5});
    CHECK(falling.low == doctest::Approx(3.2));
    CHECK(falling.high == doctest::Approx(7.6));
    CHECK_FALSE(falling.logarithmic);
    CHECK(axis({0, 1}).low == 0);  // nothing below zero where nothing is negative
    CHECK(axis({0.01, 1}, false).low == 0);
    CHECK(axis({-1, 1}).low < -1);
    CHECK(axis({0.01, 1}).logarithmic);
    CHECK(axis({0.01, 1}).low < 0.01);
    CHECK_FALSE(axis({0.01, 1}, false).logarithmic);
    CHECK_FALSE(axis({0, 1, 100}).logarithmic);
    CHECK_FALSE(axis({-1, 1, 100}).logarithmic);
    CHECK_FALSE(axis({1, 29}).logarithmic);
    for (const std::vector<double>& values :
         {std::vector<double>{}, {NAN}, {0}, {5, 5, 5}, {-5}, {INFINITY, 1}, {1e300, -1e300}, {1e-300}}) {
        const Axis any = axis(values);
        CHECK(std::isfinite(any.low));
        CHECK(any.low < any.high);
        for (const double value : values)
            if (std::isfinite(value)) {
                CHECK(any.share(value) > 0);
                CHECK(any.share(value) < 1);
            }
    }
}

TEST_CASE("chart: thinned curves keep each column's first, last, lowest and highest point") {
    std::vector<Position> points;
    for (int i = 0; i < 1000; ++i) points.push_back({i / 100.0, 50.0 + i % 7});
    points[333].y = -900;
    points[777].y = 900;
    const auto kept = thinned(points);
    CHECK(kept.size() <= 40);
    const auto has = [&](const Position& point) {
        return std::ranges::any_of(kept, [&](Position p) { return p.x == point.x && p.y == point.y; });
    };
    CHECK(has(points[333]));
    CHECK(has(points[777]));
    for (std::size_t column = 0; column < 10; ++column) {
        CHECK(has(points[100 * column]));
        CHECK(has(points[100 * column + 99]));
    }
    CHECK(std::ranges::is_sorted(kept, {}, &Position::x));
    const std::vector<Position> few{{0.5, 1}, {0.6, 1}, {7, 2}};
    CHECK(thinned(few).size() == 3);
    CHECK(thinned({}).empty());
}

TEST_CASE("chart: means of stretches") {
    const std::vector<Position> points{{0, 1}, {1, 3}, {5, 10}, {9, 20}, {31, 7}};
    const auto average = means(points, 5);
    REQUIRE(average.size() == 3);
    CHECK(average[0].x == 0.5);
    CHECK(average[0].y == 2);
    CHECK(average[1].x == 7);
    CHECK(average[1].y == 15);
    CHECK(average[2].y == 7);
}

namespace {

// Where in a column of pixels a blue line runs: the centre of its ink, -1 without any.
double line_at(const Drawing& drawing, int x) {
    double sum = 0, moment = 0;
    for (int y = 0; y < drawing.image().height; ++y) {
        const double ink = blueness(pixel(drawing, x, y));
        sum += ink;
        moment += ink * (y + 0.5);
    }
    return sum > 0 ? moment / sum : -1;
}

}  // namespace

TEST_CASE("chart: a curve goes through the pixels where its numbers put it") {
    // The frame leaves 68 pixels at the left, 18 at the right, 26 at the top and at the bottom: 400 x 200.
    const auto drawn = [](Curve curve, Axis across) {
        curve.colour = blue;
        Drawing drawing(486, 252);
        draw_chart(drawing, {"", {}, {std::move(curve)}, across}, {0, 0}, 486, 252);
        return drawing;
    };
    SUBCASE("a straight line") {
        const Drawing drawing = drawn({{0, 100}, {2, 4}, {}}, {0, 100});
        // Values from 1.9 to 4.1 on 200 pixels.
        for (const double share : {0.25, 0.5, 0.75}) {
            const int x = static_cast<int>(68 + 400 * share);
            const double value = 2 + 2 * (x + 0.5 - 68) / 400;
            CHECK(line_at(drawing, x) == doctest::Approx(226 - 200 * (value - 1.9) / 2.2).epsilon(0.002));
        }
        CHECK(line_at(drawing, 60) == -1);
        CHECK(line_at(drawing, 475) == -1);
    }
    SUBCASE("a logarithmic axis makes powers straight") {
        const Drawing drawing = drawn({{0, 50, 100}, {1, 1000, 1e6}, {}}, {0, 100});
        CHECK(line_at(drawing, 168) == doctest::Approx(226 - 200 * (0.05 + 0.25) / 1.1).epsilon(0.01));
        CHECK(line_at(drawing, 368) == doctest::Approx(226 - 200 * (0.05 + 0.75) / 1.1).epsilon(0.01));
    }
    SUBCASE("the axis is longer than the curve, which has a gap") {
        const Drawing drawing = drawn({{10, 20, 30}, {1, NAN, 1}, {}}, {0, 100});
        CHECK(line_at(drawing, 68 + 35) == -1);
        CHECK(line_at(drawing, 68 + 80) == doctest::Approx(126).epsilon(0.01));
        CHECK(line_at(drawing, 68 + 125) == -1);
    }
    SUBCASE("one point is a dot") {
        const Drawing drawing = drawn({{50}, {3}, {}}, {0, 100});
        CHECK(pixel(drawing, 268, 126) == blue);
        CHECK(pixel(drawing, 270, 126) == blue);
        CHECK(line_at(drawing, 275) == -1);
    }
    SUBCASE("many points become a pale band with all extremes, and their mean") {
        Curve curve;
        for (int i = 0; i <= 100'000; ++i) {
            curve.x.push_back(i);
            curve.y.push_back(i % 2 == 0 ? -1 : 1);
        }
        curve.y[30'000] = 9;  // axis from -1.5 to 9.5
        const Drawing drawing = drawn(curve, {0, 100'000});
        const auto y = [](double value) { return static_cast<int>(226 - 200 * (value + 1.5) / 11); };
        CHECK(pixel(drawing, 300, y(0)) == blue);
        CHECK(blueness(pixel(drawing, 300, y(0.8))) > 30);
        CHECK(blueness(pixel(drawing, 300, y(0.8))) < 120);
        CHECK(blueness(pixel(drawing, 300, y(1.5))) == 0);
        CHECK(blueness(pixel(drawing, 188, y(8.9))) + blueness(pixel(drawing, 187, y(8.9))) > 60);
    }
    SUBCASE("marked points are dots") {
        Curve curve{{20, 40}, {1, 1}, {}, true};
        const Drawing drawing = drawn(curve, {0, 100});
        CHECK(pixel(drawing, 68 + 80, 128) == blue);
        CHECK(pixel(drawing, 68 + 100, 128) != blue);
    }
    SUBCASE("columns stand on an axis that is given") {
        Curve curve{{1, 2, 3}, {40, 0, 10}, blue, false, true};
        Drawing drawing(486, 252);
        draw_chart(drawing, {"", {}, {curve}, {0.5, 3.5}, false, Axis{0, 50}}, {0, 0}, 486, 252);
        const auto column = [&](int x) {
            int height = 0;
            for (int y = 0; y < 226; ++y) height += pixel(drawing, x, y) == blue;
            return height;
        };
        CHECK(column(68 + 66) == 160);
        CHECK(column(68 + 66 - 44) == 160);
        CHECK(column(68 + 66 + 50) == 0);
        CHECK(column(68 + 200) == 0);
        CHECK(column(68 + 333) == 40);
    }
}

TEST_CASE("chart: title and notes stand above the frame, without running into each other") {
    const auto ink = [](std::string title, const std::vector<ChartNote>& notes) {
        Drawing drawing(300, 200);
        draw_chart(drawing, {std::move(title), notes, {}, {0, 1}}, {0, 0}, 300, 200);
        int grey = 0, coloured = 0;
        for (int y = 0; y < 25; ++y)
            for (int x = 0; x < 300; ++x) {
                const Rgb colour = pixel(drawing, x, y);
                coloured += blueness(colour) > 100 ? 1 : 0;
                grey += blueness(colour) == 0 && colour.red < 128 ? 1 : 0;
            }
        return std::pair(grey, coloured);
    };
    const auto [title_alone, none] = ink("loss", {});
    CHECK(title_alone > 20);
    CHECK(none == 0);
    const auto one = ink("loss", {{"1.234", blue}}), two = ink("loss", {{"5.678", blue}, {"1.234", blue}});
    CHECK(one.first == title_alone);
    CHECK(one.second > 20);
    CHECK(two.second > one.second);
    // No room for the first of them, or for any.
    CHECK(ink("loss", {{"a note as long as this", blue}, {"1.234", blue}}) == one);
    CHECK(ink("a title as long as the chart is wide", {{"1.234", blue}}).second == 0);
}
