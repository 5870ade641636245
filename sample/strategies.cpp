// `build/sample strategies`: the tables of searches for strategies as one, and as a figure: quality over operations.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/charts/chart.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/output_file.h"
#include "runtime/files/text_file.h"
#include "sample/jobs.h"

namespace {

struct StrategiesJob {
    std::vector<std::string> searches;
    std::string plot;
};

// A mean and its standard error.
struct Figure {
    double mean = NAN, error = NAN;
};

struct Row {
    std::string name, setting, distance;  // the distance's key, "fd" or "fid"
    std::int64_t steps = 0;
    double operations = 0;
    std::map<std::string, Figure> figures;

    Figure figure(const std::string& key) const {
        const auto found = figures.find(key);
        return found == figures.end() ? Figure() : found->second;
    }
};

std::filesystem::path table_of(const std::string& search) {
    return std::filesystem::path(search) / "table.json";
}

Row row_of(const nlohmann::json& json, const std::string& distance, const std::string& source) {
    Row row;
    row.distance = distance;
    read_key(json, "name", row.name, true, source);
    read_key(json, "setting", row.setting, true, source);
    read_key(json, "steps", row.steps, true, source);
    read_key(json, "operations", row.operations, true, source);
    if (!json.contains("figures") || !json["figures"].is_object())
        fail("{}: {} has no figures", source, row.name);
    for (const auto& [key, value] : json["figures"].items()) {
        if (!holds_a<std::vector<double>>(value) || value.size() != 2)
            fail("{}: {}: {} is {}, expected a mean and its error", source, row.name, key, shown(value));
        row.figures[key] = {value[0].get<double>(), value[1].get<double>()};
    }
    return row;
}

void read_rows(const std::string& search, std::vector<Row>& rows) {
    const std::string source = table_of(search).string();
    if (!std::filesystem::exists(source))
        fail("{}: missing, expected the table that a finished search (build/train strategy) writes", source);
    const nlohmann::json json = parse_json(read_text_file(source), source);
    std::string distance;
    if (!json.is_object() || !json.contains("rows") || !json["rows"].is_array())
        fail("{}: not the table of a search", source);
    read_key(json, "distance", distance, true, source);
    for (const nlohmann::json& row : json["rows"])
        rows.push_back(row_of(row, distance == "FID" ? "fid" : "fd", source));
}

std::string cell(const Figure& figure, int digits) {
    return std::isnan(figure.mean)
               ? "-"
               : fmt::format("{:.{}f} +- {:.{}f}", figure.mean, digits, figure.error, digits);
}

void print_table(const std::vector<Row>& rows) {
    fmt::print("{:<20}{:<26}{:>6}{:>9}{:>19}{:>20}{:>22}{:>18}{:>18}\n", "", "", "steps", "GFLOP",
               rows.front().distance == "fid" ? "FID" : "FD", "by second features", "kernel distance",
               "precision", "recall");
    for (const Row& row : rows)
        fmt::print("{:<20}{:<26}{:>6}{:>9.3f}{:>19}{:>20}{:>22}{:>18}{:>18}\n", row.name, row.setting,
                   row.steps, row.operations / 1e9, cell(row.figure(row.distance), 3),
                   cell(row.figure("second_fd"), 3), cell(row.figure("kid"), 5),
                   cell(row.figure("precision"), 3), cell(row.figure("recall"), 3));
}

// Of the curve of name number i: the palette, then lighter.
Rgb colour_of(std::size_t i) {
    const Rgb colour = curve_palette[i % curve_palette.size()];
    return i < curve_palette.size() ? colour : tint(colour, 0.5);
}

// A curve for each name, over the operations of a picture, with the names below.
Image figure_of(const std::vector<Row>& rows) {
    constexpr double width = 900, height = 520, margin = 12, line_height = 24, text_size = 1.75;
    constexpr std::size_t columns = 3;
    std::vector<std::string> names;
    std::vector<double> operations;
    for (const Row& row : rows) {
        if (std::ranges::find(names, row.name) == names.end()) names.push_back(row.name);
        operations.push_back(row.operations / 1e9);
    }
    if (names.size() > 2 * curve_palette.size())
        fail_usage("--plot: {} strategies by name, expected at most {}", names.size(),
                   2 * curve_palette.size());
    const auto lines = static_cast<double>((names.size() + columns - 1) / columns);
    Drawing drawing(static_cast<int>(width), static_cast<int>(height + lines * line_height + margin));
    Chart chart{rows.front().distance == "fid" ? "FID" : "FD", {}, {}, value_axis(operations, true)};
    chart.across_unit = "GFLOP";
    for (std::size_t i = 0; i < names.size(); ++i) {
        std::vector<Position> points;
        for (const Row& row : rows)
            if (row.name == names[i]) points.push_back({row.operations / 1e9, row.figure(row.distance).mean});
        std::ranges::sort(points, {}, &Position::x);
        Curve curve{{}, {}, colour_of(i), true};
        for (const Position& point : points) {
            curve.x.push_back(point.x);
            curve.y.push_back(point.y);
        }
        chart.curves.push_back(std::move(curve));
        drawing.write({margin + width / columns * static_cast<double>(i % columns) + 68,
                       height + line_height * (static_cast<double>(i / columns) + 0.5)},
                      names[i], text_size, colour_of(i));
    }
    draw_chart(drawing, chart, {margin, margin}, width - 2 * margin, height - 2 * margin);
    return drawing.image();
}

void run_strategies(const StrategiesJob& job) {
    std::vector<Row> rows;
    std::vector<NamedPath> inputs;
    for (const std::string& search : job.searches) {
        read_rows(search, rows);
        inputs.push_back({"SEARCH", table_of(search).string()});
    }
    if (rows.empty()) fail("{}: its table has no rows", table_of(job.searches.front()).string());
    print_table(rows);
    if (job.plot.empty()) return;
    require_distinct({"--plot", job.plot}, inputs);
    write_png(job.plot, figure_of(rows));
}

}  // namespace

void add_strategies_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand(
        "strategies",
        "Compare found strategies and those of the literature: quality over operations of a picture");
    const auto job = std::make_shared<StrategiesJob>();
    command
        ->add_option("SEARCH", job->searches,
                     "Folders of finished searches (build/train strategy), each with its table.json")
        ->required();
    command
        ->add_option("--plot", job->plot,
                     "PNG file: the distance over GFLOP, a curve for each strategy by name")
        ->type_name("FILE");
    command->callback([job] { run_strategies(*job); });
}
