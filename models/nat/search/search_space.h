// The space in which a generation strategy is searched: the four schedules of T steps as one vector x of
// 4T - 2 numbers, in the order of the authors' release: ratios [T - 1], re-masking temperatures [T - 1],
// sampling temperatures [T], guidance scales [T].
//
// A search moves all of it or some of the four groups alone, so that what each schedule gains can be measured
// by itself. The coordinates of the other groups keep the start's values, whatever these are.
//
// Source: Ni et al. (CVPR 2024, arXiv 2406.05478), section 4, and their release (ImprovedNAT, `train.py`,
// `DisPatcher`) for order, bounds and start.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/nat/strategy.h"

enum class SearchGroup { ratios, remask_temperatures, sampling_temperatures, guidance_scales };
inline constexpr std::array search_groups{SearchGroup::ratios, SearchGroup::remask_temperatures,
                                          SearchGroup::sampling_temperatures, SearchGroup::guidance_scales};

// The keys of strategy files: "ratios", "remask_temperatures", ...
std::string_view name_of(SearchGroup group);
// Names separated by commas, or "all". Throws UsageError for other names and for one given twice.
std::vector<SearchGroup> parse_search_groups(std::string_view text);

class SearchSpace {
  public:
    // Throws UsageError unless 1 <= steps <= max_decoding_steps and `searched` has a coordinate at all: one
    // step has neither ratios nor re-masking temperatures.
    explicit SearchSpace(std::int64_t steps, std::span<const SearchGroup> searched = search_groups);

    std::int64_t steps() const { return steps_; }
    std::size_t size() const { return groups_.size(); }  // 4T - 2
    SearchGroup group(std::size_t coordinate) const { return groups_[coordinate]; }
    bool is_ratio(std::size_t coordinate) const { return groups_[coordinate] == SearchGroup::ratios; }
    // Coordinates of the searched groups, ascending.
    const std::vector<std::size_t>& searched() const { return searched_; }
    // Names of the searched groups, in the order of x, separated by commas.
    std::string searched_names() const;

    // Bounds: of ratios [0, 0.99], of everything else [1e-4, infinity).
    double lower(std::size_t coordinate) const;
    double upper(std::size_t coordinate) const;
    double clamp(std::size_t coordinate, double value) const;
    // For points of finite differences, which the release lets reach a ratio of 1: ratios to [0, 1].
    double clamp_probe(std::size_t coordinate, double value) const;

    // The four schedules of a strategy of steps() steps, [4T - 2]. Throws UsageError for other steps.
    std::vector<double> point(const Strategy& strategy) const;
    // Sets the four schedules, and nothing else, of a strategy from x [4T - 2].
    void assign(std::span<const double> x, Strategy& strategy) const;

  private:
    std::int64_t steps_;
    std::vector<SearchGroup> groups_;  // of each coordinate
    std::vector<std::size_t> searched_;
};

// AutoNAT's start: for t = 0..T-1 and f = (t + 1) / T, ratio cos(pi / 2 f), re-masking temperature 1 - t / T,
// sampling temperature 1, guidance scale f. Throws UsageError unless 1 <= T <= max_decoding_steps.
Strategy autonat_start(std::int64_t steps);
