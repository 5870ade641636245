#include "tests/bench/formulas.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

namespace {

std::string three_digits(double value) {
    return fmt::format("{:.{}f}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

// With the unit's prefix: "403 MB", "1.21 G"; "-" for nothing.
std::string amount(double value, std::string_view unit) {
    if (value == 0) return "-";
    constexpr std::string_view prefixes[] = {"", "k", "M", "G", "T"};
    int prefix = 0;
    for (; value >= 999.5 && prefix < 4; ++prefix) value /= 1000;
    const std::string with_prefix = fmt::format("{}{}", prefixes[prefix], unit);
    return three_digits(value) + (with_prefix.empty() ? "" : " " + with_prefix);
}

}  // namespace

Ceiling data_sheet(Precision precision) {
    return {precision == Precision::bf16 ? 990e12 : 67e12, 4.8e12};
}

std::string formula_table(const KernelList& list, const Ceiling& roofs) {
    std::string table =
        "| kernel | shape | moves | operations | operations per byte | roof | at least |\n"
        "|---|---|---:|---:|---:|---|---:|\n";
    std::set<std::string> seen;
    for (const Kernel& kernel : list.kernels()) {
        if (!seen.insert(kernel.name).second) continue;
        const Cost& cost = kernel.cost;
        const double by_memory = cost.bytes / roofs.bytes, by_arithmetic = cost.operations / roofs.operations;
        table += fmt::format("| {} | {} | {} | {} | {} | {} | {:.1f} us |\n", kernel.name, kernel.shape,
                             amount(cost.bytes, "B"), amount(cost.operations, ""),
                             cost.operations == 0 ? "-" : three_digits(cost.operations / cost.bytes),
                             by_memory >= by_arithmetic ? "memory" : "arithmetic",
                             std::max(by_memory, by_arithmetic) * 1e6);
    }
    return table;
}
