#include "sample/strategy_plot.h"

#include <algorithm>
#include <vector>

#include "data/charts/chart.h"

namespace {

constexpr Rgb bar_colour{86, 180, 233}, line_colour{0, 114, 178}, text_colour{40, 40, 40};
constexpr double page_width = 1200, margin = 8, header_height = 38, main_height = 320, small_height = 217;

// From zero up, with `room` above the largest value.
Axis axis_of(const std::vector<double>& values, double room) {
    Axis axis{0, 0};
    for (const double value : values) {
        axis.low = std::min(axis.low, (1 + room) * value);
        axis.high = std::max(axis.high, (1 + room) * value);
    }
    if (axis.low == axis.high) axis.high = 1;
    return axis;
}

Chart chart_of(const std::string& title, const std::vector<double>& values, const Axis& across) {
    Chart chart{title, {}, {{{}, values, line_colour, true}}, across, false, axis_of(values, 0.08)};
    for (std::size_t t = 0; t < values.size(); ++t)
        chart.curves.front().x.push_back(static_cast<double>(t + 1));
    return chart;
}

}  // namespace

Image strategy_plot(const Strategy& strategy, std::span<const std::int64_t> fixed, const std::string& title) {
    Drawing drawing(static_cast<int>(page_width),
                    static_cast<int>(header_height + main_height + 2 * small_height + margin));
    drawing.write({20, 26}, title, 1.75, text_colour);
    const Axis across{0.5, static_cast<double>(strategy.steps()) + 0.5, false, true};
    Chart bars = chart_of("tokens fixed in the step", {fixed.begin(), fixed.end()}, across);
    bars.up->high *= 1.04;  // for the numbers above the columns
    bars.up->whole = bars.curves.front().bars = true;
    bars.curves.front().colour = bar_colour;
    const double width = page_width - 2 * margin;
    draw_chart(drawing, bars, {margin, header_height}, width, main_height);
    Chart schedules[] = {chart_of("ratio of tokens masked again", strategy.ratios, across),
                         chart_of("re-masking temperature", strategy.remask_temperatures, across),
                         chart_of("sampling temperature", strategy.sampling_temperatures, across),
                         chart_of("guidance scale s of c + s (c - u)", strategy.guidance_scales, across)};
    schedules[0].up = {0, 1.04};
    for (int i = 0; i < 4; ++i)
        draw_chart(drawing, schedules[i],
                   {margin + i % 2 * width / 2, header_height + main_height + i / 2 * small_height},
                   width / 2, small_height);
    return drawing.image();
}
