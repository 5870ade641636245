#include "kernels/sampling/patch_ranks.h"

#include <doctest/doctest.h>

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
    const PhiloxKey key = random_key(3, "order/1");
    for (const std::int64_t L : {1, 4, 5, 33, 64, 257, 1024}) {
        const std::int64_t M = 5;
        const std::vector<std::int64_t> sequence_ids = sequence_ids_of(M);
        auto ranks = vector_of<std::int32_t>(M * L, -1);
        RUN(device, random_ranks, ranks, sequence_ids, M, L, key);
        for (std::int64_t m = 0; m < M; ++m) {
            auto order = vector_of<std::int32_t>(L, 0);
            random_order(order, key, sequence_ids[static_cast<std::size_t>(m)], 0);
            bool inverse = true;
            for (std::int64_t i = 0; i < L; ++i)
                inverse = inverse &&
                          ranks[static_cast<std::size_t>(m * L + order[static_cast<std::size_t>(i)])] == i;
            CAPTURE(L);
            CHECK(inverse);
        }
    }
}

DEVICE_TEST("masks and choices follow the ranks") {
    for (const std::int64_t L : {1, 5, 32, 100})
        for (const std::int64_t guidance_rows : {1, 2}) {
            const std::int64_t M = 3, hidden = (2 * L + 2) / 3, kept = L / 3;
            const std::vector<std::int64_t> sequence_ids = sequence_ids_of(M);
            auto ranks = vector_of<std::int32_t>(M * L, -1);
            RUN(device, random_ranks, ranks, sequence_ids, M, L, random_key(1, "a"));
            auto mask = vector_of<std::uint8_t>(guidance_rows * M * L, 9);
            RUN(device, hidden_mask, mask, ranks, M, L, guidance_rows, hidden);
            const std::int64_t count = M * (hidden - kept);
            auto index = vector_of<std::int32_t>(count, -1);
            auto children = vector_of<std::int64_t>(count, -1);
            RUN(device, chosen_patches, index, children, ranks, sequence_ids, M, L, kept, hidden);
            std::vector<std::int32_t> expected_index;
            std::vector<std::int64_t> expected_children;
            std::vector<std::uint8_t> expected_mask;
            for (std::int64_t i = 0; i < M * L; ++i) {
                const std::int32_t rank = ranks[static_cast<std::size_t>(i)];
                expected_mask.push_back(rank < hidden);
                if (rank < kept || rank >= hidden) continue;
                expected_index.push_back(static_cast<std::int32_t>(i));
                expected_children.push_back(sequence_ids[static_cast<std::size_t>(i / L)] * L + i % L);
            }
            if (guidance_rows == 2)
                expected_mask.insert(expected_mask.end(), expected_mask.begin(),
                                     expected_mask.begin() + M * L);
            CAPTURE(L);
            CHECK(mask == expected_mask);
            CHECK(index == expected_index);
            CHECK(children == expected_children);
        }
}

DEVICE_TEST("raster order, and the rows of children for each guidance row") {
    const std::int64_t M = 2, L = 3;
    auto ranks = vector_of<std::int32_t>(M * L, -1);
    RUN(device, raster_ranks, ranks, M, L);
    CHECK(ranks == std::vector<std::int32_t>{2, 1, 0, 2, 1, 0});
    const std::vector<std::int32_t> index = {1, 4};
    std::vector<std::int32_t> patches(4, -1), parents(4, -1);
    RUN(device, child_rows, patches, parents, index, 2, M, L, 2);
    CHECK(patches == std::vector<std::int32_t>{1, 4, 7, 10});
    CHECK(parents == std::vector<std::int32_t>{0, 1, 2, 3});
}
