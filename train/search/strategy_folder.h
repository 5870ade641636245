// The folder of a search for a generation strategy:
//
//   search.json    settings, and the state after the last complete update
//   history.csv    every evaluation (models/nat/search/search_history.h)
//   best.json      a strategy file: so far the one of the lowest objective; at the end the best of the finalists,
//                  measured anew. start.json: the one it began with
//   curves.png     objectives and schedules
//
// A search that is killed, or stopped, continues from search.json to the same trajectory.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/nat/search/search_history.h"
#include "models/nat/search/search_method.h"
#include "train/run_lock.h"

class StrategyFolder {
  public:
    // Creates the folder if necessary and locks it. Throws Error if that fails or another search holds it.
    // Of several ranks only one `writes`.
    StrategyFolder(std::filesystem::path path, bool writes);

    const std::filesystem::path& path() const { return path_; }
    // Continues a search there, or begins one: restores `method`, and the pictures drawn. `settings`: JSON of
    // what decides the trajectory. Returns whether there was one. Throws UsageError if it has other settings,
    // naming the first, Error if its files cannot be read.
    bool open(SearchMethod& method, const std::string& settings, const Strategy& start, std::int64_t& drawn);
    // After each evaluation, and after each update (method.tell()).
    void append(const Evaluation& evaluation);
    void save(const SearchMethod& method, std::int64_t drawn);

    // The best iterate; before the first update, none.
    const std::optional<Evaluation>& best() const;
    // The evaluations of iterates after at least one update, in their order; on ranks that do not write, none.
    std::vector<Evaluation> iterates() const;
    // Writes best.json in place of the best iterate's.
    void choose(const Strategy& strategy) const;
    // Draws curves.png; failures are reported and do not end the search.
    void draw_curves(const SearchMethod& method) const;

  private:
    std::filesystem::path at(const char* name) const { return path_ / name; }

    std::filesystem::path path_;
    bool writes_;
    std::string settings_;
    Strategy start_;
    std::unique_ptr<RunLock> lock_;
    std::unique_ptr<SearchHistory> history_;
};
