#include "runtime/device/work_count.h"

#include <algorithm>
#include <map>
#include <optional>
#include <stdexcept>
#include <utility>

#include "runtime/device/profile_ranges.h"

namespace {

struct Count {
    WorkCount::Observer observer;
    std::map<const std::byte*, std::size_t> memory;  // tensors and parameters by address
    std::vector<std::string> ranges;
    std::vector<const std::byte*> seen;  // of the launch being counted
};
std::optional<Count> count;

const std::byte* end_of(const std::pair<const std::byte* const, std::size_t>& piece) {
    return piece.first + piece.second;
}

}  // namespace

WorkCount::WorkCount(Observer observer) {
    if (count) throw std::logic_error("work count: a second one at the same time");
    count = Count{std::move(observer), {}, {}, {}};
    observe_ranges([](std::string_view name, int number, RangeEdge edge) {
        if (edge == RangeEdge::begin)
            count->ranges.push_back(range_text(name, number));
        else
            count->ranges.pop_back();
    });
}

WorkCount::~WorkCount() {
    observe_ranges({});
    count.reset();
}

bool counting_work() {
    return count.has_value();
}

void note_counted_memory(const void* address, std::size_t bytes) {
    const auto* const begin = static_cast<const std::byte*>(address);
    auto& memory = count->memory;
    auto next = memory.lower_bound(begin);
    if (next != memory.begin() && end_of(*std::prev(next)) > begin) --next;
    while (next != memory.end() && next->first < begin + bytes) next = memory.erase(next);
    memory[begin] = bytes;
}

void count_work(const char* kernel, std::span<const std::any> arguments,
                std::span<const void* const> addresses) {
    std::vector<const std::byte*>& seen = count->seen;
    seen.clear();
    double bytes = 0;
    for (const void* const each : addresses) {
        const auto* const address = static_cast<const std::byte*>(each);
        const auto next = count->memory.upper_bound(address);
        if (address == nullptr || next == count->memory.begin()) continue;
        const auto& piece = *std::prev(next);
        if (address >= end_of(piece) || std::ranges::find(seen, piece.first) != seen.end()) continue;
        seen.push_back(piece.first);
        bytes += static_cast<double>(end_of(piece) - address);
    }
    count->observer({kernel, arguments, bytes, count->ranges});
}

void count_transfer(const char* kind, std::size_t bytes) {
    count->observer({kind, {}, static_cast<double>(bytes), count->ranges});
}
