// The search of a generation strategy for one trained model.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/nat/search/search_method.h"
#include "runtime/base/live_line.h"
#include "train/search/strategy_folder.h"
#include "train/search/strategy_objective.h"

struct GenerationSearchRule {
    std::string method = "finite-differences", schedules = "all";
    std::int64_t updates = 100;
    std::uint64_t seed = 0;
};

class GenerationSearch {
  public:
    // In `folder`, where a search of the same `settings` (JSON of what decides the trajectory) continues. All must
    // stay. Throws as StrategyFolder.
    GenerationSearch(const GenerationSearchRule& rule, const std::string& settings,
                     const std::filesystem::path& folder, const Strategy& start, StrategyObjective& objective,
                     const Comm& comm);

    // To its last update; false if a stop was requested before. Says what it does, and how long an update takes.
    bool run();
    // What the result is chosen from, the same on every rank: the start, the last iterate and `most` others, those of
    // the lowest objectives. Objectives of different updates are of different pictures, so that the lowest is as
    // much a matter of luck.
    std::vector<Strategy> finalists(std::size_t most) const;
    void choose(const Strategy& strategy) const { folder_.choose(strategy); }

  private:
    Strategy strategy_at(std::span<const double> x) const;
    std::vector<Strategy> strategies_at(std::span<const SearchPoint> points) const;
    // False if a stop was requested before it was complete.
    bool update();
    // The pictures of an update and, from its first batch, its time.
    void say_cost(std::int64_t points, std::int64_t done);
    void say_update(std::int64_t update, std::span<const SearchPoint> points, std::span<const double> values);

    GenerationSearchRule rule_;
    StrategyObjective& objective_;
    const Comm& comm_;
    Strategy start_;
    std::unique_ptr<SearchMethod> method_;
    StrategyFolder folder_;
    std::int64_t drawn_ = 0;
    std::chrono::steady_clock::time_point begun_;
    bool said_cost_ = false;
    LiveLine line_;
};

// The seed of an update's pictures; that of the pictures by which strategies are chosen (baselines, candidates of
// training); and of those on which results are reported.
std::uint64_t update_seed(std::uint64_t seed, std::int64_t update);
std::uint64_t choice_seed(std::uint64_t seed, std::int64_t repeat);
std::uint64_t fresh_seed(std::uint64_t seed, std::int64_t repeat);
