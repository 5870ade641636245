// Selection of the patches of a sampling step, on the tape's device: see kernels/sampling/patch_ranks.h. Not
// recorded.
#pragma once

#include <cstdint>

#include "kernels/sampling/patch_ranks.h"
#include "runtime/tensor/tape.h"

// Ranks of the patches of the sequences `sequence_ids` (int64 [M]), int32 [M, L], and the number of each one's
// patches that are still hidden, int32 [M, 1]: L at first.
struct PatchRanks {
    Tensor ranks, hidden;
};
// `key`: a row of device_keys().
void random_ranks(Tape& tape, const PatchRanks& order, const Tensor& sequence_ids, const Tensor& key);
void raster_ranks(Tape& tape, const PatchRanks& order);

// Rows of patches and of their sequences, in each half of the rows.
struct ChildRows {
    Tensor patches, parents;
};
// What a step draws, the next n patches of every sequence, which are hidden no more: their sequence_ids int64
// [M n, 1], their rows int32 [guidance_rows * M n, 1] by chunks (child_row_place), and `mask` u8
// [guidance_rows * M, L], 1 where a patch is hidden before the step. Without with_mask there is no mask.
struct NextPatches {
    Tensor mask, sequence_ids;
    ChildRows rows;
};
NextPatches next_patches(Tape& tape, const PatchRanks& order, const Tensor& sequence_ids, std::int64_t n,
                         std::int64_t guidance_rows, std::int64_t chunk, bool with_mask);
// The same without values, for `count` patches that the host has chosen.
NextPatches create_next_patches(Tape& tape, const PatchRanks& order, std::int64_t count,
                                std::int64_t guidance_rows, bool with_mask);
