// Selection of the patches of a sampling step, on the tape's device: see kernels/sampling/patch_ranks.h. Not
// recorded.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"
#include "runtime/tensor/tape.h"

// Ranks int32 [M, L] of the patches of the sequences `sequence_ids` (int64 [M]), into `ranks`.
void random_ranks(Tape& tape, const Tensor& ranks, const Tensor& sequence_ids, PhiloxKey key);
void raster_ranks(Tape& tape, const Tensor& ranks);

// mask u8 [guidance_rows * M, L] from ranks [M, L]: 1 where the rank is below `hidden`.
void hidden_mask(Tape& tape, const Tensor& mask, const Tensor& ranks, std::int64_t hidden);

// The patches with kept <= rank < hidden of every sequence: their numbers m * L + t into `index` int32 [n,
// 1], their sequence_ids into `child_sequence_ids` int64 [n, 1]; n = M * (hidden - kept).
void chosen_patches(Tape& tape, const Tensor& index, const Tensor& child_sequence_ids, const Tensor& ranks,
                    const Tensor& sequence_ids, std::int64_t kept, std::int64_t hidden);

// Rows of the patches `index` [count, 1] of M sequences of L, and of their sequences, in each half of the
// rows: int32 [guidance_rows * count, 1] both.
struct ChildRows {
    Tensor patches, parents;
};
ChildRows child_rows(Tape& tape, const Tensor& index, std::int64_t M, std::int64_t L,
                     std::int64_t guidance_rows);
