#include "sample/quality_report.h"

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "runtime/base/json_keys.h"

namespace {

// A figure over repeats: its mean, and the standard error of that.
struct Figure {
    double mean = 0;
    std::optional<double> error;  // of several repeats
};

using Value = std::function<std::optional<double>(const Quality&)>;

std::optional<Figure> figure(const QualityReport& report, const Value& value) {
    std::vector<double> values;
    for (const Quality& quality : report.repeats) {
        const std::optional<double> each = value(quality);
        if (!each) return std::nullopt;
        values.push_back(*each);
    }
    Figure result;
    const auto n = static_cast<double>(values.size());
    for (const double each : values) result.mean += each / n;
    if (values.size() < 2) return result;
    double squares = 0;
    for (const double each : values) squares += (each - result.mean) * (each - result.mean);
    result.error = std::sqrt(squares / (n - 1) / n);
    return result;
}

// The figures by their keys, in the order of reports.
struct Entry {
    std::string key, name;
    Value value;
    const char* format;
};

std::vector<Entry> entries(const OpenedFeatures& features) {
    const auto of = [](auto member, auto take) {
        return [=](const Quality& quality) -> std::optional<double> {
            const auto& part = quality.*member;
            return part ? std::optional<double>(take(*part)) : std::nullopt;
        };
    };
    return {
        {features.distance_key(), features.distance_name(),
         [](const Quality& quality) { return std::optional<double>(quality.frechet); }, "{:.4f}"},
        {fmt::format("{}_extrapolated", features.distance_key()), "of infinitely many",
         of(&Quality::extrapolation, [](const FrechetExtrapolation& e) { return e.value; }), "{:.4f}"},
        {"kid", features.network->inception() ? "KID" : "kernel distance",
         of(&Quality::kernel, [](const KernelDistance& k) { return k.value; }), "{:.6f}"},
        {"kid_standard_error", "",
         of(&Quality::kernel, [](const KernelDistance& k) { return k.standard_error; }), "{:.6f}"},
        {"inception_score", "Inception score",
         of(&Quality::inception_score, [](const InceptionScore& s) { return s.mean; }), "{:.3f}"},
        {"inception_score_deviation", "",
         of(&Quality::inception_score, [](const InceptionScore& s) { return s.deviation; }), "{:.3f}"},
        {"precision", "precision",
         of(&Quality::manifold, [](const PrecisionRecall& p) { return p.precision; }), "{:.4f}"},
        {"recall", "recall", of(&Quality::manifold, [](const PrecisionRecall& p) { return p.recall; }),
         "{:.4f}"},
    };
}

std::string number(const char* format, double value) {
    return fmt::format(fmt::runtime(format), value);
}

// Behind the value of a figure.
std::string remark(const QualityReport& report, const OpenedFeatures& features, const std::string& key) {
    const std::int64_t width = features.network->feature_width(), n = report.generated_count;
    if (key == features.distance_key() && n <= width)
        return fmt::format("  biased upwards: {} pictures for {} features", n, width);
    if (key == features.distance_key()) return fmt::format("  biased upwards by the {} pictures' number", n);
    if (key == "kid" && report.repeats.size() == 1)
        return fmt::format("  +- {:.6f} over {} subsets of {}", report.repeats[0].kernel->standard_error,
                           kernel_distance_subsets, report.repeats[0].kernel->subset_rows);
    if (key == "inception_score" && report.repeats.size() == 1)
        return fmt::format("  +- {:.3f} over 10 splits", report.repeats[0].inception_score->deviation);
    return "";
}

}  // namespace

std::string quality_words(const QualityReport& report, const OpenedFeatures& features) {
    std::string text = fmt::format(
        "generated           {} pictures of {}\nreference           {} of {}\nfeatures            {} numbers "
        "of {} ({})\n",
        report.generated_count, report.generated,
        report.reference_count > 0 ? fmt::format("{} pictures", report.reference_count) : "statistics",
        report.reference, features.network->feature_width(), features.file, features.fingerprint());
    for (const Entry& entry : entries(features)) {
        if (entry.name.empty()) continue;
        const std::optional<Figure> value = figure(report, entry.value);
        if (!value) continue;
        text += fmt::format("{:<20}{}", entry.name, number(entry.format, value->mean));
        if (value->error)
            text += fmt::format("  +- {} over {} seeds", number(entry.format, *value->error),
                                report.repeats.size());
        text += remark(report, features, entry.key) + "\n";
    }
    if (report.drawing)
        text += fmt::format("{:<20}{:.2f} ms, {:.3f} GFLOP a picture\n", "drawing",
                            1e3 * report.drawing->seconds, report.drawing->operations / 1e9);
    if (!report.reference_has_features)
        text += "KID, precision and recall need the reference's features; its statistics hold none\n";
    return text;
}

std::string quality_json(const QualityReport& report, const OpenedFeatures& features) {
    nlohmann::ordered_json json, errors;
    for (const Entry& entry : entries(features)) {
        const std::optional<Figure> value = figure(report, entry.value);
        json[entry.key] = value ? nlohmann::ordered_json(value->mean) : nlohmann::ordered_json(nullptr);
        if (value && value->error && !entry.name.empty()) errors[entry.key] = *value->error;
    }
    json["generated"] = report.generated_count;
    json["reference"] = report.reference_count > 0 ? nlohmann::ordered_json(report.reference_count)
                                                   : nlohmann::ordered_json();
    json["features"] = features.file;
    json["fingerprint"] = features.fingerprint();
    json["convention"] =
        features.convention.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(features.convention);
    if (report.drawing) {
        json["parameters"] = report.drawing->parameters;
        json["operations_per_picture"] = report.drawing->operations;
        json["seconds_per_picture"] = report.drawing->seconds;
    }
    if (report.repeats.size() > 1) {
        json["repeats"] = report.repeats.size();
        json["standard_errors"] = errors;
    }
    return json_text(json);
}
