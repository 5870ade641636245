// Features of pictures, as a network extracts them: what every measure of quality is computed from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

// Row-major [rows, width], one row per picture.
struct FeatureMatrix {
    std::int64_t width = 0;
    std::vector<float> values;

    std::int64_t rows() const { return width > 0 ? static_cast<std::int64_t>(values.size()) / width : 0; }
    const float* row(std::int64_t i) const { return values.data() + static_cast<std::size_t>(i * width); }
};

// Throws Error naming `measure` for fewer rows than `least` and for a value that is not finite,
// std::logic_error for values that are not whole rows.
void require_features(const FeatureMatrix& features, std::int64_t least, std::string_view measure);

// Throws Error naming `measure` if the widths differ: features of two networks.
void require_same_width(std::int64_t generated, std::int64_t reference, std::string_view measure);
