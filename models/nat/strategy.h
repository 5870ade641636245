// A generation strategy: the four schedules of parallel decoding in T steps, one value a step.
//
// Two forms of file are read. Ours is JSON with the keys ratios, remask_temperatures, sampling_temperatures,
// guidance_scales, and if they are not the first of their values, order ("confidence", "halton"), confidence
// ("log-probability", "logit") and counts ("floor", "ceiling", "exact"). The published one is YAML with
// manual_ratios, manual_temp (the re-masking temperatures), manual_samp_temp, manual_cfg.
//
// Source: Ni et al., "Revisiting Non-Autoregressive Transformers" (CVPR 2024, arXiv 2406.05478); for the
// meaning of each value see kernels/sampling/token_draw.h and remask.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

// Which of the drawn tokens are fixed first: the most confident ones, or those that come first in a fixed order
// of the grid's cells (halton_order.h), which needs no confidences.
enum class TokenOrder { confidence, halton };
// Of a drawn token.
enum class Confidence { log_probability, logit };
// How many of N tokens a ratio r masks again if M are masked: floor(N r) or ceil(N r), at least 1 and at most
// M - 1, or exactly floor(N r), so that a step may fix no token, or all.
enum class CountRule { floor, ceiling, exact };

struct Strategy {
    std::vector<double> ratios;                 // of positions masked again, in [0, 1), [T - 1]
    std::vector<double> remask_temperatures;    // of the confidences' noise, not negative, [T - 1]
    std::vector<double> sampling_temperatures;  // divide the logits of the draw, not negative, [T]
    // s of logits = c + s (c - u), [T]: 0 is no guidance. Elsewhere in this project a scale is 1 + s.
    std::vector<double> guidance_scales;
    TokenOrder order = TokenOrder::confidence;
    Confidence confidence = Confidence::log_probability;
    CountRule counts = CountRule::floor;

    std::int64_t steps() const { return static_cast<std::int64_t>(sampling_temperatures.size()); }
    // Whether any step needs unconditional logits.
    bool guided() const;
    // Throws UsageError, naming `source`, for lengths that do not fit each other, numbers that are not finite
    // or out of range.
    void validate(std::string_view source) const;

    bool operator==(const Strategy&) const = default;
};

// More steps than positions make no sense, and a grid has at most some thousand.
inline constexpr std::int64_t max_decoding_steps = 4096;

// Either form of file; JSON is recognised by its opening brace. `source` names the text in messages. Both
// throw UsageError.
Strategy parse_strategy(std::string_view text, std::string_view source);
Strategy read_strategy(const std::filesystem::path& path);
// Our form. Reading it gives the same strategy again.
std::string to_json(const Strategy& strategy);
