// Philox4x32-10: a counter-based random generator. The same (counter, key) gives the same four words on every
// device, for any number of threads; there is no state between draws.
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), table 2.
// Cost: 10 rounds of two 32x32 -> 64 bit products for four words.
#pragma once

#include <array>
#include <cstdint>

struct PhiloxKey {
    std::uint32_t k0 = 0, k1 = 0;
};

struct PhiloxCounter {
    std::uint32_t c0 = 0, c1 = 0, c2 = 0, c3 = 0;
};

constexpr std::array<std::uint32_t, 4> philox(PhiloxCounter counter, PhiloxKey key) {
    constexpr std::uint64_t multiplier0 = 0xD2511F53u, multiplier1 = 0xCD9E8D57u;
    constexpr std::uint32_t weyl0 = 0x9E3779B9u, weyl1 = 0xBB67AE85u;
    auto [c0, c1, c2, c3] = counter;
    auto [k0, k1] = key;
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t product0 = multiplier0 * c0, product1 = multiplier1 * c2;
        c0 = static_cast<std::uint32_t>(product1 >> 32) ^ c1 ^ k0;
        c1 = static_cast<std::uint32_t>(product1);
        c2 = static_cast<std::uint32_t>(product0 >> 32) ^ c3 ^ k1;
        c3 = static_cast<std::uint32_t>(product0);
        k0 += weyl0;
        k1 += weyl1;
    }
    return {c0, c1, c2, c3};
}

// A word as a float in [0, 1): the upper 24 bits, so that every value is exact and 1 is never reached.
constexpr float unit_float(std::uint32_t word) {
    return static_cast<float>(word >> 8) * 0x1p-24f;
}

// A word as a float in (0, 1), the ends never reached: the upper 23 bits, in the middle of their interval.
constexpr float inner_unit_float(std::uint32_t word) {
    return (static_cast<float>(word >> 9) + 0.5f) * 0x1p-23f;
}
