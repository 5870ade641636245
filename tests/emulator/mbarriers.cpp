#include "tests/emulator/mbarriers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "tests/emulator/fiber.h"

namespace emulator {

std::uint64_t Mbarriers::Barrier::copied() const {
    std::uint64_t bytes = 0;
    for (const Copy& copy : copies) bytes += copy.bytes;
    return bytes;
}

std::string Mbarriers::find(const std::uint64_t* barrier, Barrier*& found) {
    const auto known = barriers_.find(barrier);
    if (known == barriers_.end()) return "uses an mbarrier that was not initialised";
    found = &known->second;
    return "";
}

std::string Mbarriers::start(std::uint64_t* barrier, unsigned arrivals) {
    const Unseen unseen;
    if (arrivals == 0) return "initialises an mbarrier for no arrivals";
    if (barriers_.contains(barrier)) return "initialises an mbarrier again";
    Barrier& started = barriers_[barrier];
    started.arrivals = started.missing = arrivals;
    return "";
}

std::string Mbarriers::arrive(std::uint64_t* barrier, unsigned bytes) {
    constexpr unsigned most = (1u << 20) - 1;
    const Unseen unseen;
    Barrier* at = nullptr;
    if (std::string problem = find(barrier, at); !problem.empty()) return problem;
    if (at->missing == 0) return "arrives at an mbarrier whose phase nobody has waited for";
    if (at->expected + bytes > most)
        return fmt::format("expects {} bytes at an mbarrier, which counts {}", at->expected + bytes, most);
    at->expected += bytes;
    --at->missing;
    release(&at->sync[at->phases % 2]);
    return "";
}

std::string Mbarriers::copy(std::uint64_t* barrier, void* shared, const void* global, unsigned bytes) {
    const Unseen unseen;
    Barrier* at = nullptr;
    if (std::string problem = find(barrier, at); !problem.empty()) return problem;
    at->copies.push_back({shared, global, bytes});
    return "";
}

std::string Mbarriers::wait(const std::uint64_t* barrier, unsigned parity, int thread, bool& complete) {
    const Unseen unseen;
    Barrier* at = nullptr;
    if (std::string problem = find(barrier, at); !problem.empty()) return problem;
    complete = at->phases % 2 != parity;
    if (!complete && at->missing == 0) {
        const std::uint64_t copied = at->copied();
        if (copied > at->expected)
            return fmt::format("bulk copies bring {} bytes to an mbarrier that expects {}", copied,
                               at->expected);
        if (copied == at->expected) {
            for (const Copy& copy : at->copies) std::memcpy(copy.shared, copy.global, copy.bytes);
            at->copies.clear();
            at->missing = at->arrivals;
            at->expected = 0;
            ++at->phases;
            complete = true;
        }
    }
    if (complete)
        acquire(&at->sync[(at->phases - 1) % 2]);
    else
        at->waiting.push_back(thread);
    return "";
}

std::vector<int> Mbarriers::wake_up(const std::uint64_t* barrier) {
    return std::exchange(barriers_.at(barrier).waiting, {});
}

std::string Mbarriers::why_not_complete(int thread) const {
    for (const auto& [address, barrier] : barriers_)
        if (std::ranges::find(barrier.waiting, thread) != barrier.waiting.end())
            return fmt::format("which lacks {} of {} arrivals and got {} of {} bytes", barrier.missing,
                               barrier.arrivals, barrier.copied(), barrier.expected);
    return "which is complete";
}

std::size_t Mbarriers::bytes_in_flight() const {
    std::size_t bytes = 0;
    for (const auto& [address, barrier] : barriers_) bytes += barrier.copied();
    return bytes;
}

}  // namespace emulator
