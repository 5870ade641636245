// The order in which a level draws its patches: in raster order, or, for a MAR level, in a random one, from
// which each step takes the next few. A patch's rank is its place in that order.
//
//   rank[m, t] = number of u with (w_mu, u) < (w_mt, t),  w_mt = word t % 4 of
//                philox({t / 4, low32(sequence_ids[m]), high32(sequence_ids[m]), 0}, key)
//
// so that a sequence's order depends on its id alone. With `hidden` patches left of which a step keeps
// `kept`, the ones it draws are those with kept <= rank < hidden.
//
// All of this moves a few bytes per patch; the purpose is to keep the host out of the loop.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"
#include "kernels/common/stream.h"

namespace cpu {

// ranks [M, L] overwritten; sequence_ids [M].
void random_ranks(std::int32_t* ranks, const std::int64_t* sequence_ids, std::int64_t M, std::int64_t L,
                  PhiloxKey key);
// ranks [M, L]: L - 1 - t, so that the first patch is drawn first.
void raster_ranks(std::int32_t* ranks, std::int64_t M, std::int64_t L);

// mask [guidance_rows * M, L]: 1 where ranks [M, L] is below `hidden`, the same in each of `guidance_rows`
// copies.
void hidden_mask(std::uint8_t* mask, const std::int32_t* ranks, std::int64_t M, std::int64_t L,
                 std::int64_t guidance_rows, std::int64_t hidden);

// The patches with kept <= rank < hidden, ascending: index [M * (hidden - kept)] receives m * L + t, and
// child_sequence_ids [M * (hidden - kept)] their names, sequence_ids[m] * L + t. Each sequence must have as
// many.
void chosen_patches(std::int32_t* index, std::int64_t* child_sequence_ids, const std::int32_t* ranks,
                    const std::int64_t* sequence_ids, std::int64_t M, std::int64_t L, std::int64_t kept,
                    std::int64_t hidden);

// Rows of the children's patches and of their parents, for each half of the rows (the unconditional ones
// follow the conditional ones): patches [guidance_rows, count] = index + half * M * L, parents
// [guidance_rows, count] = index / L + half * M; index [count].
void child_rows(std::int32_t* patches, std::int32_t* parents, const std::int32_t* index, std::int64_t count,
                std::int64_t M, std::int64_t L, std::int64_t guidance_rows);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void random_ranks(Stream stream, std::int32_t* ranks, const std::int64_t* sequence_ids, std::int64_t M,
                  std::int64_t L, PhiloxKey key);
void raster_ranks(Stream stream, std::int32_t* ranks, std::int64_t M, std::int64_t L);
void hidden_mask(Stream stream, std::uint8_t* mask, const std::int32_t* ranks, std::int64_t M, std::int64_t L,
                 std::int64_t guidance_rows, std::int64_t hidden);
void chosen_patches(Stream stream, std::int32_t* index, std::int64_t* child_sequence_ids,
                    const std::int32_t* ranks, const std::int64_t* sequence_ids, std::int64_t M,
                    std::int64_t L, std::int64_t kept, std::int64_t hidden);
void child_rows(Stream stream, std::int32_t* patches, std::int32_t* parents, const std::int32_t* index,
                std::int64_t count, std::int64_t M, std::int64_t L, std::int64_t guidance_rows);

}  // namespace cuda
