#include "data/charts/training_curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include "data/charts/chart.h"

namespace {

constexpr Rgb text_colour{40, 40, 40}, faint_colour{120, 120, 120};
constexpr double page_width = 1200, margin = 8, text_size = 1.75, line_height = 30;
constexpr std::string_view validation_prefix = "validation_";

// Columns that are drawn in one chart.
struct Figure {
    std::string training, validation;  // "" where there is none

    const std::string& title() const { return training.empty() ? validation : training; }
};

// Beyond these an axis has no numbers to write beside it; nearer to zero than their inverse is zero.
constexpr double largest_drawn = 1e100;

bool is_drawn(double value) {
    return std::abs(value) < largest_drawn;  // false for NaN
}

double drawn(double value) {
    return std::abs(value) < 1 / largest_drawn ? 0 : value;
}

bool has_column(std::span<const NamedLog> runs, std::string_view name) {
    return std::ranges::any_of(runs, [&](const NamedLog& run) {
        const std::vector<double>* values = run.log.find(name);
        return values != nullptr && std::ranges::any_of(*values, [](double value) {
                   return is_drawn(value) && drawn(value) != 0;
               });
    });
}

// In the order of the columns, those with something to show.
std::vector<Figure> figures_of(std::span<const NamedLog> runs) {
    std::vector<Figure> figures;
    const auto known = [&](std::string_view name) {
        return std::ranges::any_of(
            figures, [&](const Figure& f) { return f.training == name || f.validation == name; });
    };
    for (const NamedLog& run : runs)
        for (const std::string& column : run.log.columns) {
            if (column == "step" || column == "memory_mib" || known(column) || !has_column(runs, column))
                continue;
            if (column.starts_with(validation_prefix)) {
                figures.push_back({"", column});
                continue;
            }
            const std::string measured = std::string(validation_prefix) + column;
            figures.push_back({column, has_column(runs, measured) ? measured : ""});
        }
    return figures;
}

// The figure of the large chart: the one that validation measures too, or else the first, the loss.
void put_main_figure_first(std::vector<Figure>& figures) {
    const auto main = std::ranges::find_if(
        figures, [](const Figure& figure) { return !figure.training.empty() && !figure.validation.empty(); });
    if (main != figures.end()) std::rotate(figures.begin(), main, std::next(main));
}

std::optional<Curve> curve_of(const TrainingLog& log, const std::string& column, Rgb colour) {
    const std::vector<double>* values = column.empty() ? nullptr : log.find(column);
    if (values == nullptr) return std::nullopt;
    Curve curve{{}, {}, colour, column.starts_with(validation_prefix)};
    for (std::size_t i = 0; i < values->size(); ++i) {
        if (!is_drawn((*values)[i])) continue;
        curve.x.push_back(log.values.front()[i]);
        curve.y.push_back(drawn((*values)[i]));
    }
    if (curve.x.empty()) return std::nullopt;
    return curve;
}

std::string latest(const Curve& curve) {
    const double value = std::stod(fmt::format("{:.3e}", curve.y.back()));  // 0.01 for 0.00999999
    if (value == 0) return "0";
    constexpr int digits = 4;
    const double size = std::abs(value);
    return number_label(value, std::pow(10.0, std::floor(std::log10(size)) - digits + 1), size);
}

// A `large` chart has a legend if training and validation differ in colour.
Chart chart_of(const Figure& figure, std::span<const NamedLog> runs, const Axis& across, bool large) {
    Chart chart{figure.title(), {}, {}, across, figure.title() != "learning_rate"};
    const bool explained = large && !figure.training.empty() && !figure.validation.empty();
    for (std::size_t i = 0; i < runs.size(); ++i)
        for (const std::string& column : {figure.training, figure.validation}) {
            const bool second_colour = runs.size() == 1 && column.starts_with(validation_prefix);
            const auto curve = curve_of(runs[i].log, column, curve_palette[second_colour ? 1 : i]);
            if (!curve) continue;
            chart.curves.push_back(*curve);
            if (runs.size() > 1) continue;
            const std::string_view which = !explained ? "" : second_colour ? "validation " : "training ";
            chart.notes.push_back({fmt::format("{}{}", which, latest(*curve)), curve->colour});
        }
    if (runs.size() > 1 && explained) chart.notes.push_back({"dots: validation", faint_colour});
    return chart;
}

// Title of the picture. Returns its height; draws if there is a drawing.
double draw_header(Drawing* drawing, std::span<const NamedLog> runs) {
    constexpr double start = 20, swatch = 26;
    double x = start, baseline = 26;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        const std::string words =
            fmt::format("{}{:.0f} steps", runs[i].name.empty() ? "" : runs[i].name + "  ",
                        runs[i].log.values.front().back());
        const double needed = swatch + text_size * (text_width(words) + 3 * letter_pitch);
        if (i > 0 && x + needed > page_width) {
            x = start;
            baseline += line_height;
        }
        if (drawing != nullptr) {
            const double middle = baseline - text_size * letter_height / 2;
            if (runs.size() > 1)
                drawing->draw(std::vector<Stroke>{{{x, middle}, {x + swatch - 8, middle}}}, 4,
                              curve_palette[i]);
            drawing->write({runs.size() > 1 ? x + swatch : x, baseline}, words, text_size, text_colour);
        }
        x += needed;
    }
    return baseline + 12;
}

}  // namespace

std::string run_name(const std::filesystem::path& folder) {
    const auto path = (folder / "").lexically_normal().parent_path();
    return path.filename().string();
}

Image training_curves(std::span<const NamedLog> runs) {
    std::vector<Figure> figures = figures_of(runs);
    put_main_figure_first(figures);
    Axis across{0, 1, false, true};
    for (const NamedLog& run : runs) across.high = std::max(across.high, run.log.values.front().back());
    const std::size_t small = figures.empty() ? 0 : figures.size() - 1, rows = (small + 3) / 4,
                      columns = rows == 0 ? 1 : (small + rows - 1) / rows;
    const double top = draw_header(nullptr, runs), main_height = 400,
                 small_height = rows == 1   ? 260
                                : rows == 2 ? 215
                                            : 195;
    Drawing drawing(static_cast<int>(page_width),
                    static_cast<int>(top + main_height + static_cast<double>(rows) * small_height + margin));
    draw_header(&drawing, runs);
    for (std::size_t i = 0; i < figures.size(); ++i) {
        const Chart chart = chart_of(figures[i], runs, across, i == 0);
        if (i == 0) {
            draw_chart(drawing, chart, {margin, top}, page_width - 2 * margin, main_height);
            continue;
        }
        const double width = (page_width - 2 * margin) / static_cast<double>(columns);
        draw_chart(drawing, chart,
                   {margin + static_cast<double>((i - 1) % columns) * width,
                    top + main_height + static_cast<double>((i - 1) / columns) * small_height},
                   width, small_height);
    }
    return drawing.image();
}
