// Figures of strategies on pictures of given seeds, kept in a file, measures.jsonl, so that none is drawn twice: a
// line per strategy and seed, with checksums of what else decides the pictures.
//
// These are what a search reports and chooses by. The values along a search are another matter: of the pictures
// that it was optimised on, biased for what it found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "train/search/strategy_objective.h"

// Over seeds.
struct MeanError {
    double mean = NAN, error = NAN;  // standard error of the mean, 0 for one value
};
MeanError mean_error(std::span<const double> values);
// "0.123 +- 0.004", "-" where there is none.
std::string text_of(const MeanError& value, int digits);
// Of one figure; a figure that was not measured gives no numbers.
MeanError mean_error(std::span<const Figures> figures, double Figures::*figure);
// Of the objective.
MeanError mean_error(std::span<const Figures> figures, const ObjectiveTerms& terms);

class StrategyMeasures {
  public:
    // `settings`: checksum of networks, reference, number and rounding of pictures. Throws Error for a file that is
    // none of this.
    StrategyMeasures(std::filesystem::path file, std::uint32_t settings, const Comm& comm);

    // Figures [strategies][seeds]; strategies of equal length are drawn side by side. `objective` draws with the
    // model of this checksum. `what` begins the live line. Nothing if a stop was requested.
    std::optional<std::vector<std::vector<Figures>>> of(StrategyObjective& objective, std::uint32_t model,
                                                        std::span<const Strategy> strategies,
                                                        std::span<const std::uint64_t> seeds,
                                                        const std::string& what);

  private:
    using Key = std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>;  // model, strategy, seed
    void read();
    void keep(const Key& key, const Figures& figures);

    std::filesystem::path file_;
    std::uint32_t settings_;
    const Comm& comm_;
    std::map<Key, Figures> known_;  // on rank 0
};
