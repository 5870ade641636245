#include "runtime/base/nearest_word.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace {

// Optimal string alignment distance: Levenshtein's with swaps of neighbours. Rows of its table, of which an
// entry needs the two before.
std::size_t edits(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before, last(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = last[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        before = last;
        std::swap(last, row);
    }
    return last[b.size()];
}

}  // namespace

std::string nearest_word(std::string_view word, std::span<const std::string> candidates) {
    constexpr std::size_t longest = 64;  // a longer word is no misspelt one, and the table is quadratic
    if (word.empty() || word.size() > longest) return "";
    std::string nearest;
    std::size_t fewest = std::max<std::size_t>(1, word.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        if (candidate.size() > 2 * longest) continue;
        const std::size_t distance = edits(word, candidate);
        if (distance >= fewest || distance >= candidate.size()) continue;
        fewest = distance;
        nearest = candidate;
    }
    if (!nearest.empty()) return nearest;
    const auto begins = [&](const std::string& candidate) { return candidate.starts_with(word); };
    if (std::ranges::count_if(candidates, begins) != 1) return "";
    return *std::ranges::find_if(candidates, begins);
}
