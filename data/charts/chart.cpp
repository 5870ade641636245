#include "data/charts/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace {

constexpr Rgb text_colour{40, 40, 40}, frame_colour{120, 120, 120}, grid_colour{228, 228, 228};
constexpr double title_size = 1.5, label_size = 1.25;

// Of the first digit of `value`, which is positive.
int exponent_of(double value) {
    return static_cast<int>(std::floor(std::log10(value) + 1e-9));
}

// 1, 2 or 5 times a power of ten, at least `value`.
double round_up(double value) {
    const double power = std::pow(10.0, exponent_of(value));
    for (const double factor : {1.0, 2.0, 5.0})
        if (factor * power >= value * (1 - 1e-9)) return factor * power;
    return 10 * power;
}

// Multiples of `step` between low and high, at most one a millionth of a step outside.
std::vector<double> multiples(double low, double high, double step) {
    std::vector<double> all;
    for (double k = std::ceil(low / step - 1e-6); k <= high / step + 1e-6; ++k) all.push_back(k * step);
    return all;
}

std::vector<double> linear_ticks(const Axis& axis, int most) {
    double step = round_up((axis.high - axis.low) / most);
    if (axis.whole) step = std::max(1.0, step);
    std::vector<double> all = multiples(axis.low, axis.high, step);
    while (static_cast<int>(all.size()) > most) {
        step = round_up(1.5 * step);
        all = multiples(axis.low, axis.high, step);
    }
    return all;
}

std::vector<double> logarithmic_ticks(const Axis& axis, int most) {
    std::vector<double> all;
    const auto fill = [&](std::span<const double> factors, int decades) {
        all.clear();
        for (int k = exponent_of(axis.low); std::pow(10.0, k) <= axis.high; ++k)
            for (const double factor : factors) {
                const double value = factor * std::pow(10.0, k);
                if (k % decades == 0 && value >= axis.low && value <= axis.high) all.push_back(value);
            }
        return static_cast<int>(all.size()) <= most;
    };
    constexpr double every[] = {1, 2, 5}, some[] = {1, 3}, one[] = {1};
    if (fill(every, 1) || fill(some, 1)) return all;
    for (int decades = 1; !fill(one, decades);) ++decades;
    return all;
}

// Where values and steps lie on the drawing.
struct Frame {
    double left, top, right, bottom;
    Axis across, up;

    double x(double step) const { return left + across.share(step) * (right - left); }
    double y(double value) const { return bottom - up.share(value) * (bottom - top); }
};

void draw_axes(Drawing& drawing, const Frame& frame, const std::string& across_unit) {
    const auto middle = [](double position) { return std::floor(position) + 0.5; };  // of a pixel: sharp
    const double label_drop = 3 * label_size;
    std::vector<Stroke> grid;
    const auto values = ticks(frame.up, std::max(3, static_cast<int>((frame.bottom - frame.top) / 28)));
    const auto value_labels = tick_labels(frame.up, values);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const double y = middle(frame.y(values[i]));
        grid.push_back({{frame.left, y}, {frame.right, y}});
        drawing.write({frame.left - 8, y + label_drop}, value_labels[i], label_size, text_colour,
                      Alignment::right);
    }
    const auto steps = ticks(frame.across, std::max(3, static_cast<int>((frame.right - frame.left) / 50)));
    const auto step_labels = tick_labels(frame.across, steps);
    const double below = std::round(frame.bottom) + 16;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        const double x = middle(frame.x(steps[i]));
        grid.push_back({{x, frame.top}, {x, frame.bottom}});
        drawing.write({x, below}, step_labels[i], label_size, text_colour, Alignment::centre);
    }
    drawing.draw(grid, 1, grid_colour);
    drawing.write({frame.left - 14, below}, across_unit, label_size, frame_colour, Alignment::right);
    const double left = middle(frame.left), right = middle(frame.right), top = middle(frame.top),
                 bottom = middle(frame.bottom);
    const std::vector<Position> border{
        {left, top}, {left, bottom}, {right, bottom}, {right, top}, {left, top}};
    drawing.draw_path(border, 1, frame_colour);
}

std::vector<Position> placed(const Curve& curve, const Frame& frame) {
    std::vector<Position> points;
    for (std::size_t i = 0; i < curve.x.size(); ++i)
        if (std::isfinite(curve.y[i])) points.push_back({frame.x(curve.x[i]), frame.y(curve.y[i])});
    return points;
}

// A column at each x, with its value above where there is room.
void draw_bars(Drawing& drawing, const Curve& curve, const Frame& frame) {
    constexpr double filled_share = 0.7, narrowest_apart = 3, widest = 120, narrowest_labelled = 26,
                     label_rise = 5;
    const double pitch = frame.x(1) - frame.x(0), width = pitch < narrowest_apart
                                                              ? std::max(1.0, pitch)
                                                              : std::min(widest, filled_share * pitch);
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
        if (!std::isfinite(curve.y[i])) continue;
        const double x = frame.x(curve.x[i]), y = frame.y(curve.y[i]);
        drawing.fill({x - width / 2, y}, {x + width / 2, frame.bottom}, curve.colour);
        if (pitch >= narrowest_labelled)
            drawing.write({x, y - label_rise}, fmt::format("{:g}", curve.y[i]), label_size, text_colour,
                          Alignment::centre);
    }
}

void draw_curves(Drawing& drawing, std::span<const Curve> curves, const Frame& frame) {
    constexpr double line_width = 1.7, dot_width = 6.5, mean_width = 5;
    constexpr std::size_t most_dots = 80;
    const double width = frame.right - frame.left;
    // A noisy curve of many points is a band that hides the others: pale, with its mean drawn over all bands.
    const auto is_dense = [&](const std::vector<Position>& points) {
        return static_cast<double>(points.size()) > width / 2;
    };
    for (const Curve& curve : curves) {
        if (curve.bars) {
            draw_bars(drawing, curve, frame);
            continue;
        }
        const auto points = placed(curve, frame);
        if (is_dense(points)) drawing.draw_path(thinned(points), 1, tint(curve.colour, 0.35));
    }
    for (const Curve& curve : curves) {
        if (curve.bars) continue;
        const auto points = placed(curve, frame);
        drawing.draw_path(is_dense(points) ? means(points, mean_width) : points, line_width, curve.colour);
        if (points.size() == 1 || (curve.dotted && points.size() <= most_dots))
            for (const Position point : points)
                drawing.draw(std::vector<Stroke>{{point, point}}, dot_width, curve.colour);
    }
}

}  // namespace

double Axis::share(double value) const {
    return logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
}

Axis value_axis(std::span<const double> values, bool logarithmic_allowed) {
    constexpr double room = 0.05, wide_span = 30;
    Axis axis{INFINITY, -INFINITY};
    for (const double value : values) {
        if (!std::isfinite(value)) continue;
        axis.low = std::min(axis.low, value);
        axis.high = std::max(axis.high, value);
    }
    if (axis.low > axis.high) return {};
    if (axis.high - axis.low <= 1e-6 * std::abs(axis.high)) {
        const double aside = axis.high == 0 ? 1 : 0.1 * std::abs(axis.high);
        return {axis.low - aside, axis.high + aside};
    }
    axis.logarithmic = logarithmic_allowed && axis.low > 0 && axis.high > wide_span * axis.low;
    if (axis.logarithmic) {
        const double factor = std::pow(axis.high / axis.low, room);
        return {axis.low / factor, axis.high * factor, true};
    }
    const double aside = room * (axis.high - axis.low);
    const bool stays_positive = axis.low >= 0 && axis.low < aside;
    return {stays_positive ? 0 : axis.low - aside, axis.high + aside};
}

std::vector<double> ticks(const Axis& axis, int most) {
    return axis.logarithmic ? logarithmic_ticks(axis, most) : linear_ticks(axis, most);
}

std::string number_label(double value, double step, double largest) {
    if (std::abs(value) < 1e-6 * step) return "0";
    constexpr double too_large = 1e9;
    constexpr int most_decimals = 5;
    double unit = 1;
    const char* suffix = "";
    if (largest >= 1e7 || (largest >= 1e6 && step >= 1e5)) {
        unit = 1e6;
        suffix = "M";
    } else if (largest >= 1e4 && step >= 100) {
        unit = 1e3;
        suffix = "k";
    }
    const int step_exponent = exponent_of(step / unit), decimals = std::max(0, -step_exponent);
    if (largest < too_large && (decimals <= most_decimals || largest >= 1))
        return fmt::format("{:.{}f}{}", value / unit, decimals, suffix);
    const int digits = std::max(0, exponent_of(std::abs(value)) - exponent_of(step));
    const std::string text = fmt::format("{:.{}e}", value, digits);
    const std::size_t exponent = text.find('e') + 1;
    return text.substr(0, exponent) + std::to_string(std::stoi(text.substr(exponent)));  // e-7 for e-07
}

std::vector<std::string> tick_labels(const Axis& axis, std::span<const double> at) {
    std::vector<std::string> labels;
    const bool alone = axis.logarithmic || at.size() < 2;
    for (const double tick : at)
        labels.push_back(
            number_label(tick, alone ? std::abs(tick) : at[1] - at[0],
                         alone ? std::abs(tick) : std::max(std::abs(at.front()), std::abs(at.back()))));
    return labels;
}

std::vector<Position> thinned(std::span<const Position> points) {
    std::vector<Position> kept;
    for (std::size_t first = 0; first < points.size();) {
        std::size_t end = first, lowest = first, highest = first;
        for (; end < points.size() && std::floor(points[end].x) == std::floor(points[first].x); ++end) {
            if (points[end].y < points[lowest].y) lowest = end;
            if (points[end].y > points[highest].y) highest = end;
        }
        std::size_t chosen[] = {first, lowest, highest, end - 1};
        std::ranges::sort(chosen);
        const auto last = std::unique(std::begin(chosen), std::end(chosen));
        for (auto* i = std::begin(chosen); i != last; ++i) kept.push_back(points[*i]);
        first = end;
    }
    return kept;
}

std::vector<Position> means(std::span<const Position> points, double width) {
    std::vector<Position> all;
    for (std::size_t first = 0; first < points.size();) {
        Position sum;
        std::size_t end = first;
        for (;
             end < points.size() && std::floor(points[end].x / width) == std::floor(points[first].x / width);
             ++end)
            sum = {sum.x + points[end].x, sum.y + points[end].y};
        const auto count = static_cast<double>(end - first);
        all.push_back({sum.x / count, sum.y / count});
        first = end;
    }
    return all;
}

void draw_chart(Drawing& drawing, const Chart& chart, Position corner, double width, double height) {
    constexpr double left_margin = 68, right_margin = 18, top_margin = 26, bottom_margin = 26;
    std::vector<double> values;
    for (const Curve& curve : chart.curves) values.insert(values.end(), curve.y.begin(), curve.y.end());
    const Frame frame{corner.x + left_margin,
                      corner.y + top_margin,
                      corner.x + width - right_margin,
                      corner.y + height - bottom_margin,
                      chart.across,
                      chart.up ? *chart.up : value_axis(values, chart.logarithmic_allowed)};
    draw_axes(drawing, frame, chart.across_unit);
    draw_curves(drawing, chart.curves, frame);
    const double baseline = std::round(frame.top) - 8;
    drawing.write({frame.left, baseline}, chart.title, title_size, text_colour);
    const double title_end = frame.left + title_size * (text_width(chart.title) + letter_pitch);
    double right = frame.right;
    for (auto note = chart.notes.rbegin(); note != chart.notes.rend(); ++note) {
        if (right - title_size * text_width(note->text) < title_end) break;
        drawing.write({right, baseline}, note->text, title_size, note->colour, Alignment::right);
        right -= title_size * (text_width(note->text) + 2 * letter_pitch);
    }
}
