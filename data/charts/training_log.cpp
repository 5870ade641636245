#include "data/charts/training_log.h"

#include <charconv>
#include <cmath>

#include "runtime/base/error.h"
#include "runtime/files/text_file.h"

namespace {

// The text up to `separator`, or all of it; taken off `text` with the separator.
std::string_view take(std::string_view& text, char separator) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view taken = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return taken;
}

std::vector<std::string_view> cells_of(std::string_view line) {
    std::vector<std::string_view> cells(1);
    cells.reserve(16);
    for (std::size_t start = 0, i = 0; i <= line.size(); ++i) {
        if (i < line.size() && line[i] != ',') continue;
        cells.back() = line.substr(start, i - start);
        start = i + 1;
        if (i < line.size()) cells.emplace_back();
    }
    return cells;
}

constexpr std::uintmax_t longest = std::uintmax_t{1} << 30;  // bytes: ten million rows
constexpr std::size_t most_columns = 64;
constexpr double largest_step = 0x1p53;  // all whole numbers up to it are doubles

double number(std::string_view cell, const TrainingLog& log, std::size_t line) {
    if (cell.empty()) return NAN;
    double value = 0;
    const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    if (error != std::errc() || end != cell.data() + cell.size())
        fail("{}: line {}: \"{}\", expected a number", log.path.string(), line, cell);
    return value;
}

double step_number(std::string_view cell, const TrainingLog& log, std::size_t line) {
    const double step = number(cell, log, line);
    if (!(step >= 0 && step <= largest_step && step == std::floor(step)))
        fail("{}: line {}: step \"{}\", expected a whole number", log.path.string(), line, cell);
    return step;
}

}  // namespace

const std::vector<double>* TrainingLog::find(std::string_view column) const {
    for (std::size_t i = 0; i < columns.size(); ++i)
        if (columns[i] == column) return &values[i];
    return nullptr;
}

const std::vector<double>& TrainingLog::column(std::string_view name) const {
    const std::vector<double>* found = find(name);
    if (found == nullptr) fail("{}: the column {} is missing", path.string(), name);
    return *found;
}

TrainingLog read_training_log(const std::filesystem::path& path) {
    const std::string text = read_text_file(path, longest);
    std::string_view rest = std::string_view(text).substr(0, text.rfind('\n') + 1);
    TrainingLog log{path, {}, {}};
    for (const std::string_view name : cells_of(take(rest, '\n'))) log.columns.emplace_back(name);
    if (log.columns.front() != "step")
        fail("{}: no log of a training run, whose first column is step", path.string());
    if (log.columns.size() > most_columns)
        fail("{}: {} columns, expected at most {}", path.string(), log.columns.size(), most_columns);
    log.values.resize(log.columns.size());
    for (std::size_t line = 2; !rest.empty(); ++line) {
        const auto cells = cells_of(take(rest, '\n'));
        if (cells.size() != log.columns.size())
            fail("{}: line {}: {} cells, expected {}", path.string(), line, cells.size(), log.columns.size());
        log.values[0].push_back(step_number(cells[0], log, line));
        for (std::size_t i = 1; i < cells.size(); ++i) log.values[i].push_back(number(cells[i], log, line));
    }
    return log;
}
