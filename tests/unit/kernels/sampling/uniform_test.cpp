#include "kernels/sampling/uniform.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <set>
#include <vector>

#include "tests/unit/kernels/kernel_check.h"

DEVICE_TEST("uniform_by_sequence is the first philox word of channel and sequence_id") {
    const std::vector<std::int64_t> sequence_ids = {
        0, 1, 2, 41, 0xffffffff, 0x1'0000'0000, 0x7654'3210'89ab'cdef};
    const std::vector<PhiloxKey> key{{12, 345}};
    const auto rows = static_cast<std::int64_t>(sequence_ids.size());
    std::vector<float> values(3 * sequence_ids.size() + 1, -9.0f);
    RUN(device, uniform_by_sequence, values, sequence_ids, rows, std::int64_t{3}, key);
    for (const std::uint32_t channel : {0u, 1u, 2u})
        for (std::size_t i = 0; i < sequence_ids.size(); ++i) {
            const auto sequence_id = static_cast<std::uint64_t>(sequence_ids[i]);
            const auto low = static_cast<std::uint32_t>(sequence_id),
                       high = static_cast<std::uint32_t>(sequence_id >> 32);
            CHECK(values[channel * sequence_ids.size() + i] ==
                  unit_float(philox({channel, low, high, 0}, key[0])[0]));
        }
    CHECK(values.back() == -9.0f);
}

DEVICE_TEST("uniform_by_sequence: sequence_ids, channels and keys draw different numbers") {
    std::vector<std::int64_t> sequence_ids(100);
    for (std::size_t i = 0; i < sequence_ids.size(); ++i)
        sequence_ids[i] = static_cast<std::int64_t>(i) << (i % 2 * 32);
    std::set<float> seen;
    for (const PhiloxKey one : {PhiloxKey{1, 0}, PhiloxKey{0, 1}}) {
        const std::vector<PhiloxKey> key{one};
        std::vector<float> values(3 * sequence_ids.size());
        RUN(device, uniform_by_sequence, values, sequence_ids, std::int64_t{100}, std::int64_t{3}, key);
        for (const float value : values) CHECK((value >= 0.0f && value < 1.0f));
        seen.insert(values.begin(), values.end());
    }
    CHECK(seen.size() == 600);
}
