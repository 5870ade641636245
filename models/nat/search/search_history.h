// Every evaluation of a search, a row each, in a CSV file:
//   method, update, phase, ratios, remask_temperatures, sampling_temperatures, guidance_scales, objective,
//   standard_error, pictures, ratio_learning_rate, learning_rate
// The four schedules are numbers separated by spaces, and like all numbers read back to the same bits. Cells
// of what is not known are empty. Phases: search_method.h.
//
// A row is written at once, so a killed search loses at most the row that was being written. The rows that
// belong to a saved state of the method are known by their mark, which is saved with it:
//
//   history.append(evaluation) for each; method.tell(objectives); save {method.state(), history.mark()}.
//
// A search that continues cuts the file back to the mark: rows after it are of an update that was not
// finished and will be repeated. A file whose rows before the mark are not those that were written (edited,
// cut off, another search's) is refused, not repaired: it is the record of what was measured.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/nat/search/search_method.h"
#include "models/nat/search/search_space.h"

struct Evaluation {
    std::string method;
    std::int64_t update = 0;  // updates done before it
    std::string phase;
    std::vector<double> x;  // [4T - 2]
    double objective = 0;
    std::optional<double> standard_error;  // of the objective
    std::int64_t pictures = 0;             // drawn since the search began, this evaluation's included
    std::optional<LearningRates> learning_rates;

    bool is_iterate() const { return phase.starts_with("stp_"); }
};

// The beginning of a file: its rows without the header, its bytes and their CRC-32.
struct HistoryMark {
    std::int64_t rows = 0, bytes = 0;
    std::uint32_t checksum = 0;

    bool operator==(const HistoryMark&) const = default;
};

class SearchHistory {
  public:
    // A new file. Throws Error if it cannot be written.
    SearchHistory(std::filesystem::path path, const SearchSpace& space);
    // Continues after `mark`. Throws Error if the file cannot be read or cut back, or is not one whose
    // beginning has this mark.
    SearchHistory(std::filesystem::path path, const SearchSpace& space, const HistoryMark& mark);

    // In the file when it returns, safe from the end of this process. Throws Error if it cannot be written.
    void append(const Evaluation& evaluation);
    // Of all rows; they are on the disk when it returns. Throws Error.
    HistoryMark mark() const;

    // The row of the lowest objective, of the first of equals: over iterates after at least one update, as
    // AutoNAT's release does, and over all points. A minimum over noisy objectives is lower than the
    // strategy's own: measure it anew.
    const std::optional<Evaluation>& best_iterate() const { return best_iterate_; }
    const std::optional<Evaluation>& best() const { return best_; }

  private:
    void note_best(const Evaluation& evaluation);

    std::filesystem::path path_;
    SearchSpace space_;
    HistoryMark mark_;
    std::optional<Evaluation> best_iterate_, best_;
};

// The rows of such a file; a last line without its end is left out, as a search may just be writing it.
// `source` names it in messages. Throws Error naming the line for text that is not such a file.
std::vector<Evaluation> parse_search_history(std::string_view text, std::string_view source);
