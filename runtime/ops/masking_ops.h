// Operations of a MAR level: its sequence with masked patches, and the selection of patches for the next
// level.
#pragma once

#include <cstdint>

#include "kernels/layout/neighbours.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// [guiding pixel, conditions, patches] + positions, masked patches hidden: `guide` [M, D] or none, conditions
// [M, n * D], tokens [M * L, D], mask uint8 [M, L] -> [M * (P + L), D]. See kernels/layout/masked_sequence.h.
Tensor masked_sequence(Tape& tape, const Tensor& guide, const Tensor& conditions, const Tensor& tokens,
                       const Tensor& mask, const Parameter& mask_token, const Parameter& positions);

// Conditions of the selected patches [K, n * D] from outputs x [M * (P + L), D]: selected int32 [K, 1], each
// m * L + t; rows int32 [M, L], the place of each patch among the selected ones or -1 (read by the backward
// pass only: may be none while nothing is recorded). See kernels/layout/neighbours.h.
Tensor neighbour_conditions(Tape& tape, const Tensor& x, const Tensor& selected, const Tensor& rows,
                            const NeighbourShape& shape);
// The same in two steps, not differentiable: the rows [K * n, D] of a residual stream x and of what attention returned,
// for the rest of a block; and the conditions from rows computed from them.
struct NeighbourRows {
    Tensor x, attended;
};
NeighbourRows neighbour_rows(Tape& tape, const Tensor& x, const Tensor& attended, const Tensor& selected,
                             const NeighbourShape& shape);
Tensor join_neighbours(Tape& tape, const Tensor& rows, const Tensor& selected, const NeighbourShape& shape);
