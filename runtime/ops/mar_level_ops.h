// A MAR level in one kernel (kernels/level/mar_level.h), for sampling. None of these is recorded.
#pragma once

#include <cstdint>

#include "kernels/level/mar_level.h"
#include "runtime/tensor/tape.h"

// How many sequences of such a level the tape's device runs at once in one kernel; 0: it has none for them.
std::int64_t resident_mar_levels(const Tape& tape, const MarLevelShape& shape);
// The level's weights for this kernel, for one sampling job.
Tensor pack_mar_level(Tape& tape, const MarLevelWeights& weights, const MarLevelShape& shape);
// Conditions [K, n' D] of the patches `selected` int32 [K, 1], of patches [M L, inputs], projected conditions [M, n D]
// and guide [M, D] (none unless guided) and mask uint8 [M, L]. K is that of `selected`.
Tensor mar_level_in_one_kernel(Tape& tape, const Tensor& patches, const Tensor& conditions,
                               const Tensor& guide, const Tensor& mask, const Tensor& selected,
                               const Tensor& packed, MarLevelShape shape);
