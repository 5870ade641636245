// A range coder that turns values and their probabilities into as many bits as the probabilities say: range
// variant of asymmetric numeral systems (rANS). Every value has an interval of [0, 2^16), as long as it is
// probable; with the state x and the interval [start, start + frequency)
//
//   encoding   x' = floor(x / frequency) 2^16 + start + x mod frequency
//   decoding   t = x' mod 2^16 lies in the value's interval, which shows the value;
//              x = frequency floor(x' / 2^16) + t - start
//
// x stays in [2^24, 2^32): its low bytes leave before a value is encoded, and return after it was decoded.
// Decoding undoes encoding step by step, so that values are encoded from the last to the first. Its result
// starts with the state's four bytes, the highest first. After the last value is decoded the state is 2^24
// again and no byte is left: a check of the whole code.
//
// Cost: about 3.5 bytes for a code, and below 0.001 bits for a value, beside the intervals' log2(2^16 /
// frequency). A value takes at most two bytes, since frequency >= 1.
//
// Source: Duda, "Asymmetric numeral systems: entropy coding combining speed of Huffman coding with compression
// rate of arithmetic coding" (2013, arXiv 1311.2540), section 3.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

constexpr std::uint32_t code_total = 1u << 16;  // of all frequencies
constexpr std::uint32_t least_code_state = 1u << 24;
constexpr std::int64_t code_state_bytes = 4, most_code_bytes = 2;  // of the state; of a value

struct CodeInterval {
    std::uint16_t start, frequency;  // 1 <= frequency, start + frequency <= 2^16
};

// A code that is being decoded.
struct CodeLane {
    std::uint32_t state;
    std::uint32_t used;  // bytes taken of those behind the state
};

constexpr std::uint32_t code_target(const CodeLane& lane) {
    return lane.state % code_total;
}

// Takes a value out of the code, whose interval holds code_target(lane); bytes: those behind the state. Reads
// at most two.
constexpr void remove_value(CodeLane& lane, const CodeInterval& interval, const std::uint8_t* bytes) {
    lane.state = interval.frequency * (lane.state / code_total) + code_target(lane) - interval.start;
    while (lane.state < least_code_state) lane.state = lane.state << 8 | bytes[lane.used++];
}

// The start of a code of at least code_state_bytes bytes.
constexpr CodeLane first_code_lane(const std::uint8_t* code) {
    CodeLane lane{};
    while (lane.used < code_state_bytes) lane.state = lane.state << 8 | code[lane.used++];
    return {lane.state, 0};
}

// Encodes values, the last one first.
class RangeEncoder {
  public:
    void add(const CodeInterval& interval) {
        const std::uint64_t limit = std::uint64_t{interval.frequency} * code_total;
        while (state_ >= limit) take_byte();
        state_ = state_ / interval.frequency * code_total + interval.start + state_ % interval.frequency;
    }
    // The code of all values added: the state, then the bytes. The encoder starts anew.
    std::vector<std::uint8_t> finish() {
        for (std::int64_t i = 0; i < code_state_bytes; ++i) take_byte();
        std::ranges::reverse(bytes_);
        state_ = least_code_state;
        return std::exchange(bytes_, {});
    }

  private:
    void take_byte() {
        bytes_.push_back(static_cast<std::uint8_t>(state_));
        state_ >>= 8;
    }

    std::uint32_t state_ = least_code_state;
    std::vector<std::uint8_t> bytes_;  // the last one first
};
