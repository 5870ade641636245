// Limits of the numbers that flags take, for programs that parse with CLI11, whose own checks end in a
// sentence with the largest double, all 309 digits of it.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

// For whole numbers.
inline CLI::Validator within(std::int64_t least, std::int64_t most) {
    return {[=](std::string& word) {
                std::int64_t value = 0;
                if (CLI::detail::lexical_cast(word, value) && value >= least && value <= most)
                    return std::string();
                return fmt::format("{}: expected a whole number from {} to {}", word, least, most);
            },
            ""};
}
// As far as 32 bits with a sign go: nothing here counts further.
inline CLI::Validator at_least(std::int64_t least) {
    return within(least, std::numeric_limits<std::int32_t>::max());
}

inline CLI::Validator above_zero() {
    return {[](std::string& word) {
                double value = 0;
                if (CLI::detail::lexical_cast(word, value) && value > 0 && std::isfinite(value))
                    return std::string();
                return fmt::format("{}: expected a number above 0", word);
            },
            ""};
}
