#include "kernels/dropout.h"

#include <doctest/doctest.h>

#include "tests/unit/kernel_check.h"

using namespace kernel_check;

namespace {

const std::vector<std::int64_t> ids = {5, (std::int64_t{7} << 32) + 3, -1};

Dropout settings(float probability, std::int64_t elements) {
    return {probability, {0x12345678u, 0x9ABCDEF0u}, 42, ids.data(), elements};
}

float expected_element(const std::vector<float>& x, std::int64_t sequence, std::int64_t e, const Dropout& d) {
    const auto id = static_cast<std::uint64_t>(d.sequence_ids[sequence]);
    const auto words = philox({static_cast<std::uint32_t>(e / 4), static_cast<std::uint32_t>(id),
                               static_cast<std::uint32_t>(id >> 32), d.step},
                              d.key);
    const float value = x[static_cast<std::size_t>(sequence * d.elements_per_sequence + e)];
    return unit_float(words[static_cast<std::size_t>(e % 4)]) >= d.probability
               ? value * (1.0f / (1.0f - d.probability))
               : 0.0f;
}

}  // namespace

TEST_CASE("dropout takes exactly the elements that philox names") {
    for (const float probability : {0.1f, 0.5f, 0.9f})
        for (const std::int64_t elements : {1, 3, 4, 63, 64, 65, 129, 4097, 9001}) {
            const Dropout d = settings(probability, elements);
            const std::vector<float> x = uniform(3 * elements, 9, 1, 2);
            std::vector<float> y(x.size(), NAN), expected(x.size());
            cpu::dropout_forward(y.data(), x.data(), 3, d);
            for (std::int64_t i = 0; i < 3 * elements; ++i)
                expected[static_cast<std::size_t>(i)] = expected_element(x, i / elements, i % elements, d);
            CAPTURE(probability);
            CAPTURE(elements);
            CHECK(same_bits(y, expected));
            std::vector<float> in_place = x;
            cpu::dropout_backward(in_place.data(), in_place.data(), 3, d);
            CHECK(same_bits(in_place, expected));
        }
}

TEST_CASE("dropout keeps the right share and the mean, and differs by step, key and sequence") {
    const std::int64_t elements = 200000;
    const std::vector<float> ones(static_cast<std::size_t>(elements), 1.0f);
    const auto drop = [&](const Dropout& d) {
        std::vector<float> y(ones.size());
        cpu::dropout_forward(y.data(), ones.data(), 1, d);
        return y;
    };
    Dropout d = settings(0.1f, elements);
    const std::vector<float> first = drop(d);
    const auto dropped = std::count(first.begin(), first.end(), 0.0f);
    CHECK(std::abs(static_cast<double>(dropped) / elements - 0.1) <
          0.003);  // more than four standard deviations
    double sum = 0;
    for (const float value : first) sum += value;
    CHECK(std::abs(sum / elements - 1) < 0.004);
    d.step = 43;
    const std::vector<float> other_step = drop(d);
    d = settings(0.1f, elements);
    d.key.k1 ^= 1;
    const std::vector<float> other_key = drop(d);
    d = settings(0.1f, elements);
    d.sequence_ids = &ids[1];
    const std::vector<float> other_sequence = drop(d);
    for (const auto* other : {&other_step, &other_key, &other_sequence}) {
        std::int64_t both = 0;
        for (std::size_t i = 0; i < first.size(); ++i) both += first[i] == 0 && (*other)[i] == 0;
        CHECK(std::abs(static_cast<double>(both) / elements - 0.01) < 0.0015);
    }
}

TEST_CASE("dropout with probability 0 copies and reads no ids") {
    const std::vector<float> x = uniform(2 * 4099, 3);
    std::vector<float> y(x.size());
    Dropout d;
    d.elements_per_sequence = 4099;
    cpu::dropout_forward(y.data(), x.data(), 2, d);
    CHECK(same_bits(y, x));
}

TEST_CASE("dropout does not depend on the number of threads") {
    CHECK(same_for_any_threads([] {
        std::vector<float> x = uniform(3 * 20001, 9);
        cpu::dropout_forward(x.data(), x.data(), 3, settings(0.1f, 20001));
        return x;
    }));
}
