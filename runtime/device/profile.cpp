#include "runtime/device/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

namespace {

struct Row {
    std::string_view kernel;
    long calls = 0;
    double seconds = 0;
};

bool active = false;
std::map<std::string_view, Row> rows;

}  // namespace

void start_profile() {
    active = true;
    rows.clear();
}

bool profiling() {
    return active;
}

void add_to_profile(const char* kernel, double seconds) {
    Row& row = rows[kernel];
    row.kernel = kernel;
    ++row.calls;
    row.seconds += seconds;
}

std::string profile_table() {
    std::vector<Row> sorted;
    double total = 0;
    for (const auto& [name, row] : rows) {
        sorted.push_back(row);
        total += row.seconds;
    }
    std::sort(sorted.begin(), sorted.end(), [](const Row& a, const Row& b) { return a.seconds > b.seconds; });
    std::string table = fmt::format("{:<36} {:>9} {:>10} {:>7}\n", "kernel", "calls", "seconds", "share");
    for (const Row& row : sorted)
        table += fmt::format("{:<36} {:>9} {:>10.4f} {:>6.1f}%\n", row.kernel, row.calls, row.seconds,
                             100 * row.seconds / total);
    return table;
}
