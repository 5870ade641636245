#include "kernels/sampling/patch_ranks.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "runtime/tensor/random.h"
#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

std::vector<std::int64_t> sequence_ids_of(std::int64_t M) {
    std::vector<std::int64_t> sequence_ids;
    for (std::int64_t m = 0; m < M; ++m) sequence_ids.push_back(m * 7919 + (m % 2) * (std::int64_t{5} << 33));
    return sequence_ids;
}

template <class T>
std::vector<T> vector_of(std::int64_t count, T value) {
    return std::vector<T>(static_cast<std::size_t>(count), value);
}

}  // namespace

DEVICE_TEST("ranks are the inverse of the random order") {
    const std::vector<PhiloxKey> key{random_key(3, "order/1")};
    for (const std::int64_t L : {1, 4, 5, 33, 64, 257, 1024}) {
        const std::int64_t M = 5;
        const std::vector<std::int64_t> sequence_ids = sequence_ids_of(M);
        auto ranks = vector_of<std::int32_t>(M * L, -1);
        auto hidden = vector_of<std::int32_t>(M, -1);
        RUN(device, random_ranks, ranks, hidden, sequence_ids, M, L, key);
        CHECK(hidden == vector_of(M, static_cast<std::int32_t>(L)));
        for (std::int64_t m = 0; m < M; ++m) {
            auto order = vector_of<std::int32_t>(L, 0);
            random_order(order, key[0], sequence_ids[static_cast<std::size_t>(m)], 0);
            bool inverse = true;
            for (std::int64_t i = 0; i < L; ++i)
                inverse = inverse &&
                          ranks[static_cast<std::size_t>(m * L + order[static_cast<std::size_t>(i)])] == i;
            CAPTURE(L);
            CHECK(inverse);
        }
    }
}

DEVICE_TEST("a step's mask and children follow the ranks") {
    for (const std::int64_t L : {1, 5, 32, 100})
        for (const std::int64_t guidance_rows : {1, 2})
            for (const std::int64_t chunk : {2, 7, 1000}) {
                const std::int64_t M = 3, n = (L + 2) / 3, count = M * n;
                const std::vector<std::int64_t> sequence_ids = sequence_ids_of(M);
                const std::vector<PhiloxKey> key{random_key(1, "a")};
                auto ranks = vector_of<std::int32_t>(M * L, -1), counts = vector_of<std::int32_t>(M, -1);
                RUN(device, random_ranks, ranks, counts, sequence_ids, M, L, key);
                // Of each sequence another number.
                std::vector<std::int32_t> hidden;
                for (const std::int64_t less : {std::int64_t{0}, L / 3, L - n})
                    hidden.push_back(static_cast<std::int32_t>(L - less));
                const std::vector<std::int32_t> before = hidden;
                auto mask = vector_of<std::uint8_t>(guidance_rows * M * L, 9);
                auto children = vector_of<std::int64_t>(count, -1);
                auto patches = vector_of<std::int32_t>(guidance_rows * count, -1), parents = patches;
                RUN(device, next_patches, mask, children, patches, parents, hidden, ranks, sequence_ids, M, L,
                    n, guidance_rows, chunk);
                for (std::size_t m = 0; m < 3; ++m) CHECK(hidden[m] == before[m] - n);
                std::vector<std::int32_t> chosen, expected_patches, expected_parents;
                std::vector<std::int64_t> expected_children;
                std::vector<std::uint8_t> expected_mask;
                for (std::int64_t i = 0; i < M * L; ++i) {
                    const std::int32_t rank = ranks[static_cast<std::size_t>(i)];
                    const std::int32_t left = before[static_cast<std::size_t>(i / L)];
                    expected_mask.push_back(rank < left);
                    if (rank < left - n || rank >= left) continue;
                    chosen.push_back(static_cast<std::int32_t>(i));
                    expected_children.push_back(sequence_ids[static_cast<std::size_t>(i / L)] * L + i % L);
                }
                if (guidance_rows == 2)
                    expected_mask.insert(expected_mask.end(), expected_mask.begin(),
                                         expected_mask.begin() + M * L);
                for (std::int64_t begin = 0; begin < count; begin += chunk)
                    for (std::int64_t half = 0; half < guidance_rows; ++half)
                        for (std::int64_t i = begin; i < std::min(count, begin + chunk); ++i) {
                            const std::int64_t patch = half * M * L + chosen[static_cast<std::size_t>(i)];
                            expected_patches.push_back(static_cast<std::int32_t>(patch));
                            expected_parents.push_back(static_cast<std::int32_t>(patch / L));
                        }
                CAPTURE(L);
                CAPTURE(chunk);
                CHECK(mask == expected_mask);
                CHECK(children == expected_children);
                CHECK(patches == expected_patches);
                CHECK(parents == expected_parents);
            }
}

DEVICE_TEST("raster order, and a step of it without a mask") {
    const std::int64_t M = 2, L = 3;
    auto ranks = vector_of<std::int32_t>(M * L, -1);
    auto hidden = vector_of<std::int32_t>(M, -1);
    RUN(device, raster_ranks, ranks, hidden, M, L);
    CHECK(hidden == std::vector<std::int32_t>{3, 3});
    CHECK(ranks == std::vector<std::int32_t>{2, 1, 0, 2, 1, 0});
    const std::vector<std::int64_t> sequence_ids{5, 7};
    std::vector<std::int64_t> children(2, -1);
    std::vector<std::int32_t> patches(4, -1), parents(4, -1);
    for (const std::int32_t step : {0, 1}) {
        RUN(device, next_patches, nullptr, children, patches, parents, hidden, ranks, sequence_ids, M, L,
            std::int64_t{1}, std::int64_t{2}, std::int64_t{8});
        CHECK(children == std::vector<std::int64_t>{15 + step, 21 + step});
        CHECK(patches == std::vector<std::int32_t>{step, 3 + step, 6 + step, 9 + step});
        CHECK(parents == std::vector<std::int32_t>{0, 1, 2, 3});
    }
}
