// The dropout mask of dropout.h, made 64 elements at a time, for the kernels that apply it.
//
// 16 Philox counters run side by side, as 64-bit lanes of which the lower halves count: the words that a
// round passes on need no packing. The one instruction that decides the speed is the 32 x 32 -> 64 bit
// product, which no loop gets from the compiler (it takes the full 64-bit product at three times the cost),
// so it is spelled out: 0.4 ns per element and core instead of 1.1. Masks are recomputed rather than stored:
// drawing one costs less than writing and reading a byte per element through memory would.
#pragma once

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/common/partition.h"
#include "kernels/pointwise/dropout.h"

namespace cpu {

using Lanes = std::uint64_t __attribute__((vector_size(64)));

// product = each lane's lower half times m. By reference: without AVX-512 such vectors have no settled way to
// be returned.
inline void multiply_lower(Lanes& product, const Lanes& a, std::uint32_t m) {
#ifdef __AVX512F__
    product = reinterpret_cast<Lanes>(
        _mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(a), _mm512_set1_epi64(m)));
#else
    product = (a & 0xFFFFFFFFu) * std::uint64_t{m};
#endif
}

constexpr std::int64_t dropout_group = 64;

// words [64] of the counters {first .. first + 15, c1, c2, c3}, four words each; see philox.h.
inline void philox_group(std::uint32_t* words, std::uint32_t first, std::uint32_t c1, std::uint32_t c2,
                         std::uint32_t c3, PhiloxKey key) {
    for (std::uint32_t half = 0; half < 2; ++half) {
        Lanes s0 = Lanes{0, 1, 2, 3, 4, 5, 6, 7} + std::uint64_t{first + 8 * half};
        Lanes s1 = Lanes{} + c1, s2 = Lanes{} + c2, s3 = Lanes{} + c3;
        auto [k0, k1] = key;
#pragma GCC unroll 10
        for (int round = 0; round < 10; ++round) {
            Lanes product0, product1;
            multiply_lower(product0, s0, 0xD2511F53u);
            multiply_lower(product1, s2, 0xCD9E8D57u);
            s0 = (product1 >> 32) ^ s1 ^ k0;
            s1 = product1;
            s2 = (product0 >> 32) ^ s3 ^ k1;
            s3 = product0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        const Lanes lower = (s0 & 0xFFFFFFFFu) | (s1 << 32), upper = (s2 & 0xFFFFFFFFu) | (s3 << 32);
        const Lanes first_four = __builtin_shufflevector(lower, upper, 0, 8, 1, 9, 2, 10, 3, 11);
        const Lanes last_four = __builtin_shufflevector(lower, upper, 4, 12, 5, 13, 6, 14, 7, 15);
        std::memcpy(words + 32 * half, &first_four, sizeof first_four);
        std::memcpy(words + 32 * half + 16, &last_four, sizeof last_four);
    }
}

// Calls body(offset, factors, count) for consecutive groups of at most 64 elements of the [sequences,
// elements_per_sequence] array, shared among the threads: factors[i], 0 or 1 / (1 - probability), belongs to
// element offset + i.
template <class Body>
void for_each_dropout_group(std::int64_t sequences, const Dropout& dropout, Body body) {
    const std::int64_t elements = dropout.elements_per_sequence;
    const std::int64_t blocks = (elements + block_elements - 1) / block_elements;
    const float scale = 1.0f / (1.0f - dropout.probability);
    // unit_float(word) >= probability, as one comparison of integers: word / 2^8 >= probability * 2^24.
    const auto threshold = static_cast<std::uint32_t>(std::ceil(dropout.probability * 0x1p24f)) << 8;
    for_each_task(sequences * blocks, sequences * elements, [=](std::int64_t task) {
        const std::int64_t sequence = task / blocks, begin = task % blocks * block_elements;
        const std::int64_t end = std::min(elements, begin + block_elements);
        const auto id = static_cast<std::uint64_t>(dropout.sequence_ids[sequence]);
        for (std::int64_t first = begin; first < end; first += dropout_group) {
            std::uint32_t words[dropout_group];
            philox_group(words, static_cast<std::uint32_t>(first / 4), static_cast<std::uint32_t>(id),
                         static_cast<std::uint32_t>(id >> 32), dropout.step, dropout.key);
            float factors[dropout_group];
#pragma omp simd
            for (std::int64_t i = 0; i < dropout_group; ++i)
                factors[i] = words[i] >= threshold ? scale : 0.0f;
            body(sequence * elements + first, factors, std::min(dropout_group, end - first));
        }
    });
}

}  // namespace cpu
