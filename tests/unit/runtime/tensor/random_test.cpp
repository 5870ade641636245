#include "runtime/tensor/random.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/kernels/check_values.h"

namespace {

// Mean, variance and fourth moment of values / scale.
struct Moments {
    double mean = 0, variance = 0, fourth = 0;
};
Moments moments(const std::vector<float>& values, double scale) {
    Moments result;
    const auto count = static_cast<double>(values.size());
    for (const float value : values) result.mean += static_cast<double>(value) / scale / count;
    for (const float value : values) {
        const double d = static_cast<double>(value) / scale - result.mean;
        result.variance += d * d / count;
        result.fourth += d * d * d * d / count;
    }
    return result;
}

constexpr std::int64_t count = 40000;

}  // namespace

TEST_CASE("random: a key for every seed and purpose") {
    std::set<std::pair<std::uint32_t, std::uint32_t>> keys;
    for (const std::uint64_t seed : {0ull, 1ull, 1ull << 32, 1ull << 63})
        for (const char* purpose : {"", "a", "b", "ab", "ba", "init/generator.norm.weight", "label drop"}) {
            const PhiloxKey key = random_key(seed, purpose), again = random_key(seed, std::string(purpose));
            CHECK(key.k0 == again.k0);
            CHECK(key.k1 == again.k1);
            keys.insert({key.k0, key.k1});
        }
    CHECK(keys.size() == 4 * 7);
}

TEST_CASE("random: bytes above 127 in a purpose count as unsigned") {
    // FNV-1a of the one byte 0xE9, so that names give the same numbers where char is signed and where it is
    // not.
    const std::uint64_t hash = (0xCBF29CE484222325u ^ 0xE9u) * 0x100000001B3u;
    const auto words =
        philox({static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(hash >> 32), 0, 0}, {5, 0});
    const PhiloxKey key = random_key(5, "\xE9");
    CHECK(key.k0 == words[0]);
    CHECK(key.k1 == words[1]);
}

TEST_CASE("random_uniform depends on key, index and step, and is uniform") {
    const PhiloxKey key = random_key(1, "test");
    std::vector<float> values;
    for (std::uint64_t i = 0; i < count; ++i) values.push_back(random_uniform(key, i));
    CHECK(*std::ranges::min_element(values) >= 0.0f);
    CHECK(*std::ranges::max_element(values) < 1.0f);
    const Moments m = moments(values, 1);
    CHECK(std::abs(m.mean - 0.5) < 0.006);
    CHECK(std::abs(m.variance - 1.0 / 12) < 0.002);
    const std::set<float> distinct = {random_uniform(key, 3), random_uniform(key, 3, 1),
                                      random_uniform(key, 4), random_uniform(key, 3 + (1ull << 32)),
                                      random_uniform({key.k0, 0}, 3)};
    CHECK(distinct.size() == 5);
}

TEST_CASE("random_normal has the moments of a normal number") {
    for (const float deviation : {0.02f, 3.0f}) {
        std::vector<float> values(count);
        random_normal(values.data(), count, random_key(2, "test"), deviation);
        // Four deviations of each estimate over 40,000 draws.
        const Moments m = moments(values, static_cast<double>(deviation));
        CHECK(std::abs(m.mean) < 0.02);
        CHECK(std::abs(m.variance - 1) < 0.03);
        CHECK(std::abs(m.fourth - 3) < 0.2);
    }
}

TEST_CASE("random_symmetric is uniform between the limits") {
    std::vector<float> values(count);
    random_symmetric(values.data(), count, random_key(3, "test"), 2.5f);
    CHECK(*std::ranges::min_element(values) >= -2.5f);
    CHECK(*std::ranges::min_element(values) < -2.49f);
    CHECK(*std::ranges::max_element(values) < 2.5f);
    CHECK(*std::ranges::max_element(values) > 2.49f);
    const Moments m = moments(values, 2.5);
    CHECK(std::abs(m.mean) < 0.012);
    CHECK(std::abs(m.variance - 1.0 / 3) < 0.006);
}

TEST_CASE("random: an element depends on its place, not on how many are drawn") {
    std::vector<float> few(7), many(100);
    for (const auto draw : {random_normal, random_symmetric}) {
        draw(few.data(), 7, random_key(4, "test"), 1);
        draw(many.data(), 100, random_key(4, "test"), 1);
        CHECK(kernel_check::same_bits(few, {many.begin(), many.begin() + 7}));
    }
}
