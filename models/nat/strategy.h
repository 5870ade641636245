// A generation strategy: the four schedules of parallel decoding in T steps, one value a step.
//
// Two forms of file are read. Ours is JSON with the keys ratios, remask_temperatures, sampling_temperatures,
// guidance_scales. The published one is YAML with manual_ratios, manual_temp (the re-masking temperatures),
// manual_samp_temp, manual_cfg.
//
// Source: Ni et al., "Revisiting Non-Autoregressive Transformers" (CVPR 2024, arXiv 2406.05478); for the
// meaning of each value see kernels/sampling/token_draw.h and remask.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

struct Strategy {
    std::vector<double> ratios;                 // of positions masked again, in [0, 1), [T - 1]
    std::vector<double> remask_temperatures;    // of the confidences' noise, not negative, [T - 1]
    std::vector<double> sampling_temperatures;  // divide the logits of the draw, not negative, [T]
    // s of logits = c + s (c - u), [T]: 0 is no guidance. Elsewhere in this project a scale is 1 + s.
    std::vector<double> guidance_scales;

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

// MaskGIT's heuristics with guidance growing to s_max: for t = 0..T-1, with f = (t + 1) / T,
// ratio cos(pi / 2 f), re-masking temperature 4.5 (1 - f), sampling temperature 1, guidance scale s_max f.
// Throws UsageError unless 1 <= T <= max_decoding_steps and s_max is finite.
Strategy maskgit_strategy(std::int64_t steps, double largest_guidance_scale);

// Either form of file; JSON is recognised by its opening brace. `source` names the text in messages. Both
// throw UsageError.
Strategy parse_strategy(std::string_view text, std::string_view source);
Strategy read_strategy(const std::filesystem::path& path);
// Our form. Reading it gives the same numbers again.
std::string to_json(const Strategy& strategy);
