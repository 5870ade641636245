#include "kernels/sampling/uniform.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <set>
#include <vector>

#include "tests/unit/kernels/kernel_check.h"

DEVICE_TEST("uniform_by_path is the first philox word of channel and path") {
    const std::vector<std::int64_t> paths = {0, 1, 2, 41, 0xffffffff, 0x1'0000'0000, 0x7654'3210'89ab'cdef};
    const PhiloxKey key{12, 345};
    for (const std::uint32_t channel : {0u, 1u, 2u}) {
        std::vector<float> values(paths.size() + 1, -9.0f);
        RUN(device, uniform_by_path, values, paths, static_cast<std::int64_t>(paths.size()), channel, key);
        for (std::size_t i = 0; i < paths.size(); ++i) {
            const auto path = static_cast<std::uint64_t>(paths[i]);
            const auto low = static_cast<std::uint32_t>(path), high = static_cast<std::uint32_t>(path >> 32);
            CHECK(values[i] == unit_float(philox({channel, low, high, 0}, key)[0]));
        }
        CHECK(values.back() == -9.0f);
    }
}

DEVICE_TEST("uniform_by_path: paths, channels and keys draw different numbers") {
    std::vector<std::int64_t> paths(100);
    for (std::size_t i = 0; i < paths.size(); ++i) paths[i] = static_cast<std::int64_t>(i) << (i % 2 * 32);
    std::set<float> seen;
    for (const std::uint32_t channel : {0u, 1u, 2u})
        for (const PhiloxKey key : {PhiloxKey{1, 0}, PhiloxKey{0, 1}}) {
            std::vector<float> values(paths.size());
            RUN(device, uniform_by_path, values, paths, 100, channel, key);
            for (const float value : values) CHECK((value >= 0.0f && value < 1.0f));
            seen.insert(values.begin(), values.end());
        }
    CHECK(seen.size() == 600);
}
