// A few hundred patches a sequence: sorting them by their words beats comparing all pairs, as the device
// does.
#include "kernels/sampling/patch_ranks.h"

#include <algorithm>
#include <vector>

namespace cpu {

void random_ranks(std::int32_t* ranks, std::int32_t* hidden, const std::int64_t* sequence_ids, std::int64_t M,
                  std::int64_t L, const PhiloxKey* key) {
    std::fill_n(hidden, M, static_cast<std::int32_t>(L));
    std::vector<std::uint64_t> sorted(static_cast<std::size_t>(L));  // word, then patch: no two are equal
    for (std::int64_t m = 0; m < M; ++m) {
        const auto sequence_id = static_cast<std::uint64_t>(sequence_ids[m]);
        for (std::int64_t t = 0; t < L; ++t) {
            const auto words =
                philox({static_cast<std::uint32_t>(t / 4), static_cast<std::uint32_t>(sequence_id),
                        static_cast<std::uint32_t>(sequence_id >> 32), 0},
                       *key);
            sorted[static_cast<std::size_t>(t)] =
                std::uint64_t{words[static_cast<std::size_t>(t % 4)]} << 32 | static_cast<std::uint64_t>(t);
        }
        std::ranges::sort(sorted);
        for (std::int64_t rank = 0; rank < L; ++rank)
            ranks[m * L + static_cast<std::int64_t>(sorted[static_cast<std::size_t>(rank)] & 0xFFFFFFFFu)] =
                static_cast<std::int32_t>(rank);
    }
}

void raster_ranks(std::int32_t* ranks, std::int32_t* hidden, std::int64_t M, std::int64_t L) {
    std::fill_n(hidden, M, static_cast<std::int32_t>(L));
    for (std::int64_t i = 0; i < M * L; ++i) ranks[i] = static_cast<std::int32_t>(L - 1 - i % L);
}

void next_patches(std::uint8_t* mask, std::int64_t* child_sequence_ids, std::int32_t* patches,
                  std::int32_t* parents, std::int32_t* hidden, const std::int32_t* ranks,
                  const std::int64_t* sequence_ids, std::int64_t M, std::int64_t L, std::int64_t n,
                  std::int64_t guidance_rows, std::int64_t chunk) {
    std::int64_t child = 0;
    for (std::int64_t i = 0; i < M * L; ++i) {
        const std::int64_t m = i / L;
        const std::int32_t left = hidden[m];
        if (mask != nullptr)
            for (std::int64_t half = 0; half < guidance_rows; ++half)
                mask[half * M * L + i] = ranks[i] < left ? 1 : 0;
        if (ranks[i] < left - n || ranks[i] >= left) continue;
        child_sequence_ids[child] = sequence_ids[m] * L + i % L;
        for (std::int64_t half = 0; half < guidance_rows; ++half) {
            const std::int64_t place = child_row_place(child, half, M * n, chunk, guidance_rows);
            patches[place] = static_cast<std::int32_t>(half * M * L + i);
            parents[place] = static_cast<std::int32_t>(half * M + m);
        }
        ++child;
    }
    for (std::int64_t m = 0; m < M; ++m) hidden[m] -= static_cast<std::int32_t>(n);
}

}  // namespace cpu
