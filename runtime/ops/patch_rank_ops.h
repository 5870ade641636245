// Selection of the patches of a sampling step, on the tape's device: see kernels/sampling/patch_ranks.h. Not
// recorded.
#pragma once

#include <cstdint>

#include "runtime/tensor/tape.h"

// Ranks of the patches of the sequences `sequence_ids` (int64 [M]), int32 [M, L], and the number of each one's
// patches that are still hidden, int32 [M, 1]: L at first.
struct PatchRanks {
    Tensor ranks, hidden;
};
// `key`: a row of device_keys().
void random_ranks(Tape& tape, const PatchRanks& order, const Tensor& sequence_ids, const Tensor& key);
void raster_ranks(Tape& tape, const PatchRanks& order);

// mask u8 [guidance_rows * M, L]: 1 where a patch is hidden.
void hidden_mask(Tape& tape, const Tensor& mask, const PatchRanks& order);

// The next patches of every sequence, as many of each, which are hidden no more: their numbers m * L + t into
// `index` int32 [n, 1], their sequence_ids into `child_sequence_ids` int64 [n, 1].
void chosen_patches(Tape& tape, const Tensor& index, const Tensor& child_sequence_ids,
                    const PatchRanks& order, const Tensor& sequence_ids);

// Rows of the patches `index` [count, 1] of M sequences of L, and of their sequences, in each half of the
// rows: int32 [guidance_rows * count, 1] both.
struct ChildRows {
    Tensor patches, parents;
};
ChildRows child_rows(Tape& tape, const Tensor& index, std::int64_t M, std::int64_t L,
                     std::int64_t guidance_rows);
