#include "kernels/common/range_coder.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

namespace {

using Intervals = std::vector<CodeInterval>;

double bits_of(const Intervals& intervals) {
    double bits = 0;
    for (const CodeInterval& each : intervals) bits += 16 - std::log2(each.frequency);
    return bits;
}

std::vector<std::uint8_t> encoded(const Intervals& intervals) {
    RangeEncoder encoder;
    for (auto each = intervals.rbegin(); each != intervals.rend(); ++each) encoder.add(*each);
    return encoder.finish();
}

// Takes the intervals out of the code one after the other, and checks its end.
void check_decoding(const Intervals& intervals, const std::vector<std::uint8_t>& code) {
    REQUIRE(code.size() >= static_cast<std::size_t>(code_state_bytes));
    CodeLane lane = first_code_lane(code.data());
    std::vector<std::uint8_t> bytes(code.begin() + code_state_bytes, code.end());
    for (const CodeInterval& each : intervals) {
        CHECK(code_target(lane) >= each.start);
        CHECK(code_target(lane) < std::uint32_t{each.start} + each.frequency);
        const std::uint32_t before = lane.used;
        remove_value(lane, each, bytes.data());
        CHECK(lane.used - before <= most_code_bytes);
        REQUIRE(lane.used <= bytes.size());
    }
    CHECK(lane.state == least_code_state);
    CHECK(lane.used == bytes.size());
}

}  // namespace

TEST_CASE("range coder: intervals come back from a code of as many bits as they have") {
    std::mt19937 random(1);
    for (const double skew : {0.0, 3.0, 10.0}) {
        Intervals intervals;
        for (int i = 0; i < 20000; ++i) {
            const double share = std::exp(-skew * (static_cast<double>(random() % 1000) / 1000));
            const auto frequency = static_cast<std::uint32_t>(1 + share * 60000);
            const auto start = random() % (code_total - frequency + 1);
            intervals.push_back({static_cast<std::uint16_t>(start), static_cast<std::uint16_t>(frequency)});
        }
        const std::vector<std::uint8_t> code = encoded(intervals);
        check_decoding(intervals, code);
        const double bits = 8 * static_cast<double>(code.size());
        CHECK(bits > bits_of(intervals));
        CHECK(bits < bits_of(intervals) + 32 + 0.001 * static_cast<double>(intervals.size()));
    }
}

TEST_CASE("range coder: no value, the rarest and the most frequent ones") {
    CHECK(encoded({}).size() == code_state_bytes);
    check_decoding({}, encoded({}));
    const CodeInterval rare{65535, 1}, first{0, 1}, frequent{255, 65281};
    for (const Intervals& intervals : {Intervals(500, rare), Intervals(500, first), Intervals(500, frequent),
                                       Intervals{rare, frequent, frequent, first, rare, rare, frequent}})
        check_decoding(intervals, encoded(intervals));
    CHECK(encoded(Intervals(500, rare)).size() == 1000 + code_state_bytes);
}

TEST_CASE("range coder: an encoder starts anew after a code") {
    RangeEncoder encoder;
    encoder.add({100, 7});
    const std::vector<std::uint8_t> code = encoder.finish();
    encoder.add({100, 7});
    CHECK(encoder.finish() == code);
}
