#include "models/nat/search/search_history.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/files/atomic_file.h"

namespace {

constexpr std::string_view header =
    "method,update,phase,ratios,remask_temperatures,sampling_temperatures,guidance_scales,objective,"
    "standard_error,pictures,ratio_learning_rate,learning_rate\n";
constexpr std::size_t columns = 12;

std::uint32_t checksum_of(std::string_view text, std::uint32_t before = 0) {
    return static_cast<std::uint32_t>(
        crc32_z(before, reinterpret_cast<const Bytef*>(text.data()), text.size()));
}

std::string row_of(const Evaluation& evaluation, const SearchSpace& space) {
    Strategy strategy;
    space.assign(evaluation.x, strategy);
    std::string rates = ",";
    if (const auto& both = evaluation.learning_rates)
        rates = fmt::format("{},{}", both->ratios, both->others);
    return fmt::format(
        "{},{},{},{},{},{},{},{},{},{},{}\n", evaluation.method, evaluation.update, evaluation.phase,
        fmt::join(strategy.ratios, " "), fmt::join(strategy.remask_temperatures, " "),
        fmt::join(strategy.sampling_temperatures, " "), fmt::join(strategy.guidance_scales, " "),
        evaluation.objective, evaluation.standard_error ? fmt::format("{}", *evaluation.standard_error) : "",
        evaluation.pictures, rates);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (std::size_t start = 0; start <= text.size();) {
        const std::size_t end = std::min(text.find(separator, start), text.size());
        parts.push_back(text.substr(start, end - start));
        start = end + 1;
    }
    return parts;
}

// The cells of a line; names the file and the line in messages.
class Row {
  public:
    Row(std::string_view line, std::string_view source, std::size_t number)
        : cells_(split(line, ',')), source_(source), number_(number) {
        if (cells_.size() != columns)
            fail("{}: line {} has {} cells, expected {}", source, number, cells_.size(), columns);
    }

    std::string text(std::size_t column) const { return std::string(cells_[column]); }

    template <class T>
    T number(std::string_view text) const {
        T value{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc{} || end != text.data() + text.size() ||
            !std::isfinite(static_cast<double>(value)))
            fail("{}: line {}: '{}' is no such number as expected", source_, number_, text.substr(0, 40));
        return value;
    }
    template <class T>
    T number(std::size_t column) const {
        return number<T>(cells_[column]);
    }
    std::optional<double> optional_number(std::size_t column) const {
        return cells_[column].empty() ? std::nullopt : std::optional(number<double>(column));
    }

    std::vector<double> list(std::size_t column) const {
        std::vector<double> values;
        if (cells_[column].empty()) return values;
        for (const std::string_view word : split(cells_[column], ' ')) values.push_back(number<double>(word));
        return values;
    }
    // The four schedules from this column on, [4T - 2].
    std::vector<double> schedules(std::size_t column) const {
        std::array<std::vector<double>, 4> lists;
        std::vector<double> x;
        for (std::size_t n = 0; n < lists.size(); ++n) {
            lists[n] = list(column + n);
            x.insert(x.end(), lists[n].begin(), lists[n].end());
        }
        const std::size_t steps = lists[3].size();
        if (lists[0].size() + 1 != steps || lists[1].size() + 1 != steps || lists[2].size() != steps)
            fail("{}: line {}: schedules of {}, {}, {} and {} numbers do not fit each other", source_,
                 number_, lists[0].size(), lists[1].size(), lists[2].size(), steps);
        return x;
    }

  private:
    std::vector<std::string_view> cells_;
    std::string_view source_;
    std::size_t number_;
};

Evaluation evaluation_of(const Row& row) {
    Evaluation evaluation{.method = row.text(0),
                          .update = row.number<std::int64_t>(1),
                          .phase = row.text(2),
                          .x = row.schedules(3),
                          .objective = row.number<double>(7),
                          .standard_error = row.optional_number(8),
                          .pictures = row.number<std::int64_t>(9),
                          .learning_rates = std::nullopt};
    if (row.optional_number(10) || row.optional_number(11))
        evaluation.learning_rates = LearningRates{row.number<double>(10), row.number<double>(11)};
    return evaluation;
}

std::string read_all(const std::filesystem::path& path) {
    std::error_code error;
    std::ifstream file(path, std::ios::binary);
    if (!file || !std::filesystem::is_regular_file(path, error)) fail("{}: cannot be read", path.string());
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

SearchHistory::SearchHistory(std::filesystem::path path, const SearchSpace& space)
    : path_(std::move(path)), space_(space) {
    AtomicFile file(path_);
    file.write(header);
    file.commit();
    mark_ = {0, static_cast<std::int64_t>(header.size()), checksum_of(header)};
}

SearchHistory::SearchHistory(std::filesystem::path path, const SearchSpace& space, const HistoryMark& mark)
    : path_(std::move(path)), space_(space), mark_(mark) {
    const std::string text = read_all(path_), source = path_.string();
    const auto bytes = static_cast<std::size_t>(mark.bytes);
    if (mark.bytes < 0 || text.size() < bytes || checksum_of({text.data(), bytes}) != mark.checksum)
        fail(
            "{}: its first {} evaluations are not those that this search has written: it was edited or cut "
            "off. Put the file back, or search in another folder",
            source, mark.rows);
    const std::vector<Evaluation> rows = parse_search_history({text.data(), bytes}, source);
    if (static_cast<std::int64_t>(rows.size()) != mark.rows)
        fail("{}: {} evaluations up to its mark, expected {}", source, rows.size(), mark.rows);
    for (const Evaluation& evaluation : rows) note_best(evaluation);
    std::error_code error;
    std::filesystem::resize_file(path_, bytes, error);
    if (error) fail("{}: cannot be cut back to {} evaluations: {}", source, mark.rows, error.message());
}

void SearchHistory::append(const Evaluation& evaluation) {
    const std::string row = row_of(evaluation, space_);
    append_to_file(path_, row);
    ++mark_.rows;
    mark_.bytes += static_cast<std::int64_t>(row.size());
    mark_.checksum = checksum_of(row, mark_.checksum);
    note_best(evaluation);
}

HistoryMark SearchHistory::mark() const {
    sync_file(path_);
    return mark_;
}

void SearchHistory::note_best(const Evaluation& evaluation) {
    if (!best_ || evaluation.objective < best_->objective) best_ = evaluation;
    if (evaluation.is_iterate() && evaluation.update >= 1 &&
        (!best_iterate_ || evaluation.objective < best_iterate_->objective))
        best_iterate_ = evaluation;
}

std::vector<Evaluation> parse_search_history(std::string_view text, std::string_view source) {
    if (!text.starts_with(header))
        fail("{}: no history of a search: its first line is not the header", source);
    std::vector<Evaluation> rows;
    std::size_t start = header.size();
    for (std::size_t end; (end = text.find('\n', start)) != std::string_view::npos; start = end + 1)
        rows.push_back(evaluation_of(Row(text.substr(start, end - start), source, rows.size() + 2)));
    return rows;
}
