// Charts: curves over steps in a frame with numbered axes.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/charts/drawing.h"

// Values from `low` to `high` along a side of a chart.
struct Axis {
    double low = 0, high = 1;
    bool logarithmic = false;
    bool whole = false;  // a number between two whole ones means nothing

    // Of the way from low to high, 0 to 1.
    double share(double value) const;
};

// An axis that shows all values with some room around them; values of any sign, none at all, or all the same
// will do. Logarithmic if that is `allowed`, all are positive and they span more than a factor of 30.
Axis value_axis(std::span<const double> values, bool logarithmic_allowed);

// Multiples of 1, 2 or 5 times a power of ten from low to high, at most `most` of them (3 or more); on a
// logarithmic axis powers of ten, and 2 and 5 times these where there is room.
std::vector<double> ticks(const Axis& axis, int most);
// The shortest label that distinguishes numbers `step` apart, in the unit of the `largest` of them: 0.25,
// 1500, 20k, 3M, 2e-7.
std::string number_label(double value, double step, double largest);
std::vector<std::string> tick_labels(const Axis& axis, std::span<const double> at);

// The subset of `points`, ordered by x, through which a line covers the same pixels: of each column of pixels
// the first, lowest, highest and last point.
std::vector<Position> thinned(std::span<const Position> points);
// Means of x and y over stretches of `width` pixels.
std::vector<Position> means(std::span<const Position> points, double width);

// Okabe and Ito's palette without its yellow, which is too pale for lines on white.
inline constexpr std::array<Rgb, 7> curve_palette{
    {{0, 114, 178}, {213, 94, 0}, {0, 158, 115}, {204, 121, 167}, {230, 159, 0}, {86, 180, 233}, {0, 0, 0}}};

struct Curve {
    std::vector<double> x, y;  // x ordered; where y is not finite, there is no point
    Rgb colour;
    bool dotted = false;  // its points are marked
    bool bars = false;    // columns from the frame's lower edge, x a whole number, in place of a line
};

// Coloured words above a chart, at the right; the first ones are left out if there is no room.
struct ChartNote {
    std::string text;
    Rgb colour;
};

struct Chart {
    std::string title;
    std::vector<ChartNote> notes;
    std::vector<Curve> curves;
    Axis across;
    bool logarithmic_allowed = true;
    std::optional<Axis> up = {};  // in place of value_axis
    std::string across_unit = "step";
};

// On `drawing`, with its upper left corner there, everything included.
void draw_chart(Drawing& drawing, const Chart& chart, Position corner, double width, double height);
