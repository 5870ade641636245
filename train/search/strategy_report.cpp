#include "train/search/strategy_report.h"

#include <map>
#include <nlohmann/json.hpp>

#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/atomic_file.h"

namespace {

std::string row_text(const ReportRow& row) {
    return fmt::format("{:<20}{:<24}{:>6}{:>10.3f}{:>20}{:>22}{:>20}{:>20}{:>20}\n", row.name, row.setting,
                       row.strategy.steps(), row.operations / 1e9,
                       text_of(mean_error(row.figures, &Figures::frechet), 4),
                       text_of(mean_error(row.figures, &Figures::second_frechet), 4),
                       text_of(mean_error(row.figures, &Figures::kernel), 5),
                       text_of(mean_error(row.figures, &Figures::precision), 4),
                       text_of(mean_error(row.figures, &Figures::recall), 4));
}

// "NAME -0.0512 +- 0.0103 (-5.0 standard errors)": a difference over the same seeds, whose error is that of the
// pairs.
std::string difference_text(const char* name, std::span<const double> differences) {
    const MeanError value = mean_error(differences);
    std::string text = fmt::format("{} {:+.4f} +- {:.4f}", name, value.mean, value.error);
    if (value.error > 0) text += fmt::format(" ({:+.1f} standard errors)", value.mean / value.error);
    return text;
}

// The objective, and the second network's distance if there is one.
std::string comparison(const ReportRow& found, const ReportRow& other, const ObjectiveTerms& terms) {
    std::vector<double> objectives, seconds;
    for (std::size_t i = 0; i < found.figures.size(); ++i) {
        const Figures &a = found.figures[i], &b = other.figures[i];
        objectives.push_back(terms.of(a) - terms.of(b));
        if (!std::isnan(a.second_frechet)) seconds.push_back(a.second_frechet - b.second_frechet);
    }
    std::string text =
        fmt::format("{} against {}: {}", found.name, other.name, difference_text("objective", objectives));
    if (!seconds.empty()) text += ", " + difference_text("by second features", seconds);
    return text + "\n";
}

}  // namespace

bool is_found(const std::string& name) {
    return name.starts_with("found");
}

std::string report_text(const std::vector<ReportRow>& rows, const SearchModels& models,
                        const ObjectiveTerms& terms, std::int64_t images) {
    const std::string distance = models.measure.features.distance_name();
    std::string text = fmt::format(
        "{} fresh seeds of {} pictures, mean +- standard error:\n"
        "{:<20}{:<24}{:>6}{:>10}{:>20}{:>22}{:>20}{:>20}{:>20}\n",
        rows.front().figures.size(), images, "", "", "steps", "GFLOP", distance, "by second features",
        "kernel distance", "precision", "recall");
    std::map<std::string, const ReportRow*> best;  // by checkpoint
    for (const ReportRow& row : rows) {
        text += row_text(row);
        if (is_found(row.name)) continue;
        const ReportRow*& standing = best[row.checkpoint];
        if (!standing || mean_error(row.figures, terms).mean < mean_error(standing->figures, terms).mean)
            standing = &row;
    }
    for (const ReportRow& row : rows)
        for (const auto& [checkpoint, standing] : best)
            if (is_found(row.name)) text += comparison(row, *standing, terms);
    return text;
}

void write_report(const std::filesystem::path& path, const std::vector<ReportRow>& rows,
                  const SearchModels& models, std::int64_t images) {
    nlohmann::ordered_json json{{"images", images},
                                {"repeats", rows.front().figures.size()},
                                {"distance", models.measure.features.distance_name()}};
    for (const ReportRow& row : rows) {
        nlohmann::ordered_json figures;
        const auto add = [&](const char* name, double Figures::*figure) {
            const MeanError value = mean_error(row.figures, figure);
            if (!std::isnan(value.mean)) figures[name] = {value.mean, value.error};
        };
        add(models.measure.features.distance_key(), &Figures::frechet);
        add("second_fd", &Figures::second_frechet);
        add("kid", &Figures::kernel);
        add("inception_score", &Figures::inception_score);
        add("precision", &Figures::precision);
        add("recall", &Figures::recall);
        json["rows"].push_back({{"name", row.name},
                                {"setting", row.setting},
                                {"steps", row.strategy.steps()},
                                {"operations", row.operations},
                                {"checkpoint", row.checkpoint},
                                {"strategy", parse_ordered_json(to_json(row.strategy))},
                                {"figures", figures}});
    }
    AtomicFile file(path);
    file.write(json_of_settings(json) + "\n");
    file.commit();
}
