#include "kernels/pointwise/dropout.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

const std::vector<std::int64_t> ids = {5, (std::int64_t{7} << 32) + 3, -1};

Dropout settings(const DeviceArray<std::int64_t>& sequence_ids, float probability, std::int64_t elements) {
    return {probability, {0x12345678u, 0x9ABCDEF0u}, 42, sequence_ids.data(), elements};
}

float expected_element(const std::vector<float>& x, std::int64_t sequence, std::int64_t e, const Dropout& d) {
    const auto id = static_cast<std::uint64_t>(ids[static_cast<std::size_t>(sequence)]);
    const auto words = philox({static_cast<std::uint32_t>(e / 4), static_cast<std::uint32_t>(id),
                               static_cast<std::uint32_t>(id >> 32), d.step},
                              d.key);
    const float value = x[static_cast<std::size_t>(sequence * d.elements_per_sequence + e)];
    return unit_float(words[static_cast<std::size_t>(e % 4)]) >= d.probability
               ? value * (1.0f / (1.0f - d.probability))
               : 0.0f;
}

}  // namespace

DEVICE_TEST("dropout takes exactly the elements that philox names") {
    const DeviceArray sequence_ids(device, ids);
    for (const float probability : {0.1f, 0.5f, 0.9f})
        for (const std::int64_t elements : {1, 3, 4, 63, 64, 65, 129, 4097, 9001}) {
            const Dropout d = settings(sequence_ids, probability, elements);
            const std::vector<float> x = uniform(3 * elements, 9, 1, 2);
            std::vector<float> y(x.size(), NAN), expected(x.size());
            RUN(device, dropout_forward, y, x, 3, d);
            for (std::int64_t i = 0; i < 3 * elements; ++i)
                expected[static_cast<std::size_t>(i)] = expected_element(x, i / elements, i % elements, d);
            CAPTURE(probability);
            CAPTURE(elements);
            CHECK(same_bits(y, expected));
            std::vector<float> in_place = x;
            RUN(device, dropout_backward, in_place, in_place, 3, d);
            CHECK(same_bits(in_place, expected));
        }
}

DEVICE_TEST("dropout keeps the right share and the mean, and differs by step, key and sequence") {
    const DeviceArray sequence_ids(device, ids);
    const std::int64_t elements = 200000;
    const std::vector<float> ones(static_cast<std::size_t>(elements), 1.0f);
    const auto drop = [&](const Dropout& d) {
        std::vector<float> y(ones.size());
        RUN(device, dropout_forward, y, ones, 1, d);
        return y;
    };
    Dropout d = settings(sequence_ids, 0.1f, elements);
    const std::vector<float> first = drop(d);
    const auto dropped = std::count(first.begin(), first.end(), 0.0f);
    CHECK(std::abs(static_cast<double>(dropped) / elements - 0.1) <
          0.003);  // more than four standard deviations
    double sum = 0;
    for (const float value : first) sum += value;
    CHECK(std::abs(sum / elements - 1) < 0.004);
    d.step = 43;
    const std::vector<float> other_step = drop(d);
    d = settings(sequence_ids, 0.1f, elements);
    d.key.k1 ^= 1;
    const std::vector<float> other_key = drop(d);
    d = settings(sequence_ids, 0.1f, elements);
    d.sequence_ids += 1;
    const std::vector<float> other_sequence = drop(d);
    for (const auto* other : {&other_step, &other_key, &other_sequence}) {
        std::int64_t both = 0;
        for (std::size_t i = 0; i < first.size(); ++i) both += first[i] == 0 && (*other)[i] == 0;
        CHECK(std::abs(static_cast<double>(both) / elements - 0.01) < 0.0015);
    }
}

DEVICE_TEST("dropout with probability 0 copies and reads no ids") {
    const std::vector<float> x = uniform(2 * 4099, 3);
    std::vector<float> y(x.size());
    Dropout d;
    d.elements_per_sequence = 4099;
    RUN(device, dropout_forward, y, x, 2, d);
    CHECK(same_bits(y, x));
}

DEVICE_TEST("dropout does not depend on the number of threads") {
    const DeviceArray sequence_ids(device, ids);
    CHECK(same_for_any_threads([&] {
        std::vector<float> x = uniform(3 * 20001, 9);
        RUN(device, dropout_forward, x, x, 3, settings(sequence_ids, 0.1f, 20001));
        return x;
    }));
}

CUDA_TEST("dropout in bf16 takes the same elements") {
    const DeviceArray sequence_ids(Device::cuda, ids);
    for (const float probability : {0.0f, 0.3f})
        for (const std::int64_t elements : {1, 3, 4, 64, 65, 4097}) {
            const Dropout d = settings(sequence_ids, probability, elements);
            const std::vector<bf16> x = to_bf16(uniform(3 * elements, 9, 1, 2));
            const std::vector<float> wide = to_floats(x);
            std::vector<float> expected(x.size());
            std::vector<bf16> y(x.size()), in_place = x;
            RUN(Device::cuda, dropout_forward, expected, wide, 3, d);
            RUN_CUDA(dropout_forward, y, x, 3, d);
            RUN_CUDA(dropout_backward, in_place, in_place, 3, d);
            CAPTURE(probability);
            CAPTURE(elements);
            CHECK(rounds_to(y, expected));
            CHECK(same_bits(to_floats(in_place), to_floats(y)));
        }
}
