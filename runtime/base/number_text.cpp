#include "runtime/base/number_text.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

double as_given(double value) {
    const auto stored = static_cast<float>(value);
    if (!std::isfinite(value) || static_cast<double>(stored) != value) return value;
    const std::string digits = fmt::format("{}", stored);
    double given = value;
    std::from_chars(digits.data(), digits.data() + digits.size(), given);
    return given;
}

std::string number_text(double value) {
    return fmt::format("{}", as_given(value));
}
