// The device's side is tested through the sampler: tests/unit/models/fractal/codec_test.cpp.
#include "kernels/sampling/value_code.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace {

constexpr int vocabulary = 256;
constexpr float infinity = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(unsigned seed, float range) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-range, range);
    std::vector<float> logits(vocabulary);
    for (float& logit : logits) logit = uniform(random);
    return logits;
}

// Distributions from even to certain, and what a broken model may give.
std::vector<std::vector<float>> all_logits() {
    std::vector<std::vector<float>> all{std::vector<float>(vocabulary, 3.5f)};
    for (unsigned seed = 0; seed < 4; ++seed)
        for (const float range : {0.1f, 2.0f, 10.0f, 200.0f}) all.push_back(random_logits(seed, range));
    for (const int certain : {0, 100, 255}) {
        all.emplace_back(vocabulary, -50.0f);
        all.back()[static_cast<std::size_t>(certain)] = 50;
    }
    all.emplace_back(vocabulary, -infinity);
    all.back()[7] = 0;
    return all;
}

}  // namespace

TEST_CASE("value code: intervals are those of the probabilities, one behind the other") {
    for (const std::vector<float>& logits : all_logits()) {
        double maximum = -infinity, total = 0, below = 0;
        for (const float logit : logits) maximum = std::max<double>(maximum, logit);
        for (const float logit : logits) total += std::exp(static_cast<double>(logit) - maximum);
        std::uint32_t next = 0;
        for (int v = 0; v < vocabulary; ++v) {
            const CodeInterval interval = cpu::value_interval(logits.data(), v);
            CHECK(interval.start == next);
            CHECK(interval.frequency >= 1);
            CHECK(std::abs(interval.start - (v + below / total * (code_total - vocabulary))) < 1.1);
            below += std::exp(static_cast<double>(logits[static_cast<std::size_t>(v)]) - maximum);
            next += interval.frequency;
        }
        CHECK(next == code_total);
    }
}

TEST_CASE("value code: the first and the last target of an interval give its value") {
    const std::uint8_t bytes[2] = {1, 2};
    for (const std::vector<float>& logits : all_logits())
        for (int v = 0; v < vocabulary; ++v) {
            const CodeInterval interval = cpu::value_interval(logits.data(), v);
            for (const std::uint32_t target :
                 {std::uint32_t{interval.start}, std::uint32_t{interval.start} + interval.frequency - 1}) {
                CodeLane lane{(1u << 31) + target, 0}, expected = lane;
                CHECK(cpu::decode_value(logits.data(), lane, bytes) == v);
                remove_value(expected, interval, bytes);
                CHECK(lane.state == expected.state);
                CHECK(lane.used == expected.used);
            }
        }
}

TEST_CASE("value code: logits that are no numbers end in some value") {
    const std::vector<float> logits(vocabulary, std::numeric_limits<float>::quiet_NaN());
    const std::uint8_t bytes[2] = {};
    for (const std::uint32_t target : {0u, 200u, 60000u}) {
        CodeLane lane{(1u << 31) + target, 0};
        const std::int32_t value = cpu::decode_value(logits.data(), lane, bytes);
        CHECK(value == std::min(target, 255u));
        CHECK(lane.state >= least_code_state);
    }
    CHECK(cpu::value_interval(logits.data(), 9).frequency == 1);
}
