#include "runtime/tensor/arena.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/device/work_count.h"

namespace {

constexpr std::size_t alignment = 64;
constexpr std::int64_t never = INT64_MAX;

std::size_t round_up(std::size_t bytes) {
    return (bytes + alignment - 1) / alignment * alignment;
}

// Largest first, each at the lowest offset that overlaps no buffer with an overlapping lifetime.
void assign_offsets(Plan& plan) {
    std::vector<std::size_t> order(plan.entries.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return plan.entries[a].bytes > plan.entries[b].bytes;
    });
    std::vector<std::size_t> placed;  // sorted by offset
    for (const std::size_t index : order) {
        Plan::Entry& entry = plan.entries[index];
        std::size_t offset = 0;
        for (const std::size_t other_index : placed) {
            const Plan::Entry& other = plan.entries[other_index];
            if (other.last < entry.first || entry.last < other.first) continue;
            if (other.offset >= offset + entry.bytes) break;
            offset = std::max(offset, other.offset + other.bytes);
        }
        entry.offset = offset;
        plan.bytes = std::max(plan.bytes, offset + entry.bytes);
        const auto position = std::upper_bound(
            placed.begin(), placed.end(), offset,
            [&](std::size_t value, std::size_t p) { return value < plan.entries[p].offset; });
        placed.insert(position, index);
    }
}

std::size_t largest_live_sum(const Plan& plan) {
    std::vector<std::pair<std::int64_t, std::int64_t>> changes;
    for (const Plan::Entry& entry : plan.entries) {
        changes.emplace_back(entry.first, static_cast<std::int64_t>(entry.bytes));
        if (entry.last != never) changes.emplace_back(entry.last, -static_cast<std::int64_t>(entry.bytes));
    }
    std::sort(changes.begin(), changes.end());
    std::int64_t live = 0, largest = 0;
    for (const auto& [moment, change] : changes) largest = std::max(largest, live += change);
    return static_cast<std::size_t>(largest);
}

}  // namespace

void Arena::begin_planning() {
    if (planning_ || plan_ != nullptr) throw std::logic_error("arena: planning inside a plan or a run");
    planning_ = true;
    draft_ = {};
    clock_ = 0;
    next_ = 0;
    depth_ = 0;
    owners_.clear();
}

Plan Arena::finish_planning() {
    planning_ = false;
    assign_offsets(draft_);
    draft_.live_bytes = largest_live_sum(draft_);
    return std::exchange(draft_, {});
}

void Arena::begin_run(const Plan& plan) {
    if (planning_ || plan_ != nullptr) throw std::logic_error("arena: a run inside a plan or a run");
    if (plan.bytes > slab_.size()) {
        slab_ = Memory();
        slab_ = Memory(device_, plan.bytes);
    }
    plan_ = &plan;
    next_ = 0;
    depth_ = 0;
    owners_.assign(plan.entries.size(), 0);
}

void Arena::end_run() {
    plan_ = nullptr;
}

BufferId Arena::allocate(std::size_t bytes) {
    const BufferId buffer = next_++;
    const auto index = static_cast<std::size_t>(buffer);
    bytes = round_up(std::max<std::size_t>(bytes, 1));
    if (planning_) {
        draft_.entries.push_back({bytes, clock_++, never, 0});
        owners_.push_back(1);
        return buffer;
    }
    if (plan_ == nullptr || index >= plan_->entries.size() || bytes > plan_->entries[index].bytes)
        throw std::logic_error(fmt::format("arena: request {} of {} bytes was not planned", buffer, bytes));
    if (owners_[index] != 0)
        throw std::logic_error(fmt::format("arena: buffer {} outlives the loop it was requested in", buffer));
    owners_[index] = 1;
    used_ = std::max(used_, plan_->entries[index].offset + bytes);
    if (counting_work()) note_counted_memory(address(buffer), bytes);
    return buffer;
}

void Arena::release(BufferId buffer) {
    const auto index = static_cast<std::size_t>(buffer);
    if (--owners_[index] > 0) return;
    if (planning_)
        draft_.entries[index].last = clock_++;
    else if (poison_ && plan_ != nullptr)
        fill_on_device(device_, address(buffer), 0xFF, plan_->entries[index].bytes, stream_);
}
