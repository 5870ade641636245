// The figures of `build/sample evaluate quality` in words and in JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "models/metrics/open_features.h"
#include "models/metrics/quality.h"

struct QualityReport {
    std::string generated, reference;  // names of the two sets
    std::int64_t generated_count = 0;
    std::int64_t reference_count = 0;  // 0: unknown
    bool reference_has_features = true;
    std::span<const Quality> repeats;  // one or, by other seeds, several
    // Of pictures that a model drew; `operations` by formula, 2 per multiply-add.
    struct Drawing {
        std::int64_t parameters = 0;
        double operations = 0, seconds = 0;  // of one picture
    };
    std::optional<Drawing> drawing;
};

std::string quality_words(const QualityReport& report, const OpenedFeatures& features);
// One object; null for figures that are left out.
std::string quality_json(const QualityReport& report, const OpenedFeatures& features);
