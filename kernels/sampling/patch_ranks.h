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

namespace cpu {

// ranks [M, L] and hidden [M], which becomes L, overwritten; sequence_ids [M].
void random_ranks(std::int32_t* ranks, std::int32_t* hidden, const std::int64_t* sequence_ids, std::int64_t M,
                  std::int64_t L, const PhiloxKey* key);
// The same with ranks L - 1 - t, so that the first patch is drawn first.
void raster_ranks(std::int32_t* ranks, std::int32_t* hidden, std::int64_t M, std::int64_t L);

// mask [guidance_rows * M, L]: 1 where ranks [M, L] is below the sequence's hidden [M], the same in each of
// `guidance_rows` copies.
void hidden_mask(std::uint8_t* mask, const std::int32_t* ranks, const std::int32_t* hidden, std::int64_t M,
                 std::int64_t L, std::int64_t guidance_rows);

// The n patches of each sequence that are drawn next, ascending: index [M * n] receives m * L + t, and
// child_sequence_ids [M * n] their names, sequence_ids[m] * L + t. hidden [M], at least n each, loses n.
void chosen_patches(std::int32_t* index, std::int64_t* child_sequence_ids, std::int32_t* hidden,
                    const std::int32_t* ranks, const std::int64_t* sequence_ids, std::int64_t M,
                    std::int64_t L, std::int64_t n);

// Rows of the children's patches and of their parents, for each half of the rows (the unconditional ones
// follow the conditional ones): patches [guidance_rows, count] = index + half * M * L, parents
// [guidance_rows, count] = index / L + half * M; index [count].
void child_rows(std::int32_t* patches, std::int32_t* parents, const std::int32_t* index, std::int64_t count,
                std::int64_t M, std::int64_t L, std::int64_t guidance_rows);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void random_ranks(Stream stream, std::int32_t* ranks, std::int32_t* hidden, const std::int64_t* sequence_ids,
                  std::int64_t M, std::int64_t L, const PhiloxKey* key);
void raster_ranks(Stream stream, std::int32_t* ranks, std::int32_t* hidden, std::int64_t M, std::int64_t L);
void hidden_mask(Stream stream, std::uint8_t* mask, const std::int32_t* ranks, const std::int32_t* hidden,
                 std::int64_t M, std::int64_t L, std::int64_t guidance_rows);
void chosen_patches(Stream stream, std::int32_t* index, std::int64_t* child_sequence_ids,
                    std::int32_t* hidden, const std::int32_t* ranks, const std::int64_t* sequence_ids,
                    std::int64_t M, std::int64_t L, std::int64_t n);
void child_rows(Stream stream, std::int32_t* patches, std::int32_t* parents, const std::int32_t* index,
                std::int64_t count, std::int64_t M, std::int64_t L, std::int64_t guidance_rows);

}  // namespace cuda
