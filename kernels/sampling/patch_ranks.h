// The order in which a level draws its patches: in raster order, or, for a MAR level, in a random one, from
// which each step takes the next few. A patch's rank is its place in that order.
//
//   rank[m, t] = number of u with (w_mu, u) < (w_mt, t),  w_mt = word t % 4 of
//                philox({t / 4, low32(sequence_ids[m]), high32(sequence_ids[m]), 0}, *key)
//
// so that a sequence's order depends on its id alone. hidden[m] is the number of patches that are not drawn yet;
// a step draws the n with hidden[m] - n <= rank < hidden[m] and takes n off. Key and numbers lie in the device's
// memory, so that one recorded step serves every seed and every step that draws as many patches.
//
// All of this moves a few bytes per patch; the purpose is to keep the host out of the loop.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"
#include "kernels/common/stream.h"

// Where the row of child i in one half stands among those of `count` children: children come in chunks of `chunk`,
// the last with fewer, and in a chunk the rows of one half after those of the other.
constexpr std::int64_t child_row_place(std::int64_t i, std::int64_t half, std::int64_t count,
                                       std::int64_t chunk, std::int64_t guidance_rows) {
    const std::int64_t begin = i / chunk * chunk, in_chunk = count - begin < chunk ? count - begin : chunk;
    return guidance_rows * begin + half * in_chunk + i - begin;
}

namespace cpu {

// ranks [M, L] and hidden [M], which becomes L, overwritten; sequence_ids [M].
void random_ranks(std::int32_t* ranks, std::int32_t* hidden, const std::int64_t* sequence_ids, std::int64_t M,
                  std::int64_t L, const PhiloxKey* key);
// The same with ranks L - 1 - t, so that the first patch is drawn first.
void raster_ranks(std::int32_t* ranks, std::int32_t* hidden, std::int64_t M, std::int64_t L);

// One step: what is hidden before it, and the n patches of each sequence that it draws, the children, ascending.
//   mask [guidance_rows * M, L], may be null: 1 where ranks [M, L] is below the sequence's hidden [M], the same
//     in each of `guidance_rows` copies
//   child_sequence_ids [M * n]: their names, sequence_ids[m] * L + t
//   patches, parents [guidance_rows * M * n]: at its child_row_place, each child's row half * M * L + m * L + t and
//     its sequence's, half * M + m
//   hidden [M], at least n each: loses n
void next_patches(std::uint8_t* mask, std::int64_t* child_sequence_ids, std::int32_t* patches,
                  std::int32_t* parents, std::int32_t* hidden, const std::int32_t* ranks,
                  const std::int64_t* sequence_ids, std::int64_t M, std::int64_t L, std::int64_t n,
                  std::int64_t guidance_rows, std::int64_t chunk);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void random_ranks(Stream stream, std::int32_t* ranks, std::int32_t* hidden, const std::int64_t* sequence_ids,
                  std::int64_t M, std::int64_t L, const PhiloxKey* key);
void raster_ranks(Stream stream, std::int32_t* ranks, std::int32_t* hidden, std::int64_t M, std::int64_t L);
void next_patches(Stream stream, std::uint8_t* mask, std::int64_t* child_sequence_ids, std::int32_t* patches,
                  std::int32_t* parents, std::int32_t* hidden, const std::int32_t* ranks,
                  const std::int64_t* sequence_ids, std::int64_t M, std::int64_t L, std::int64_t n,
                  std::int64_t guidance_rows, std::int64_t chunk);

}  // namespace cuda
