#include "train/search/strategy_curves.h"

#include <algorithm>
#include <vector>

#include "data/charts/chart.h"

namespace {

constexpr Rgb point_colour{170, 200, 225}, iterate_colour{0, 114, 178}, start_colour{200, 200, 200},
    text_colour{40, 40, 40};
constexpr double page_width = 1200, margin = 8, header_height = 38, main_height = 320, small_height = 217;

Chart objectives(std::span<const Evaluation> history) {
    Curve others{{}, {}, point_colour, true}, iterates{{}, {}, iterate_colour, true};
    std::vector<double> pictures;
    for (const Evaluation& evaluation : history) {
        Curve& curve = evaluation.is_iterate() ? iterates : others;
        curve.x.push_back(static_cast<double>(evaluation.pictures));
        curve.y.push_back(evaluation.objective);
        pictures.push_back(static_cast<double>(evaluation.pictures));
    }
    return {"objective over the pictures drawn",
            {{"iterates", iterate_colour}, {"other points", point_colour}},
            {others, iterates},
            value_axis(pictures, false),
            true,
            {},
            "pictures"};
}

// The coordinates of one schedule, as a curve over steps.
Curve schedule(const Evaluation& evaluation, const SearchSpace& space, SearchGroup group, Rgb colour) {
    Curve curve{{}, {}, colour, true};
    for (std::size_t i = 0; i < space.size(); ++i) {
        if (space.group(i) != group) continue;
        curve.x.push_back(static_cast<double>(curve.x.size() + 1));
        curve.y.push_back(evaluation.x[i]);
    }
    return curve;
}

}  // namespace

Image strategy_curves(std::span<const Evaluation> history, const SearchSpace& space,
                      const std::string& title) {
    Drawing drawing(static_cast<int>(page_width),
                    static_cast<int>(header_height + main_height + 2 * small_height + margin));
    drawing.write({20, 26}, title, 1.75, text_colour);
    draw_chart(drawing, objectives(history), {margin, header_height}, page_width - 2 * margin, main_height);
    const auto is_iterate = [](const Evaluation& evaluation) { return evaluation.is_iterate(); };
    const auto first = std::ranges::find_if(history, is_iterate);
    if (first == history.end()) return drawing.image();
    auto last = first;
    for (auto each = first; each != history.end(); ++each)
        if (is_iterate(*each)) last = each;
    const char* const titles[] = {"ratio of tokens masked again", "re-masking temperature",
                                  "sampling temperature", "guidance scale s of c + s (c - u)"};
    const double width = page_width / 2 - margin;
    for (std::size_t i = 0; i < search_groups.size(); ++i) {
        Chart chart{titles[i],
                    {{"now", iterate_colour}, {"start", start_colour}},
                    {schedule(*first, space, search_groups[i], start_colour),
                     schedule(*last, space, search_groups[i], iterate_colour)},
                    {0.5, static_cast<double>(space.steps()) + 0.5, false, true},
                    false};
        draw_chart(drawing, chart,
                   {margin + static_cast<double>(i % 2) * width,
                    header_height + main_height + static_cast<double>(i / 2) * small_height},
                   width, small_height);
    }
    return drawing.image();
}
