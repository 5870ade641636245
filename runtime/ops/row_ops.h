// Rows moved from one tensor to another: selected, dropped, joined, reordered. The rules of ops.h hold.
#pragma once

#include <cstdint>

#include "runtime/tensor/tape.h"

// All tokens of each sequence of `length` but the last: [M * length, W] -> [M * (length - 1), W]. Not
// differentiable.
Tensor drop_last_token(Tape& tape, const Tensor& x, std::int64_t length);

// Token t of each sequence of `length`: [M * length, W] -> [M, W]. Not differentiable.
Tensor take_token(Tape& tape, const Tensor& x, std::int64_t t, std::int64_t length);

// destination [1, W] = row `row` of x [rows, W]. Not recorded.
void take_row(Tape& tape, const Tensor& destination, const Tensor& x, std::int64_t row);

// All tokens of each sequence but the first `dropped`: [M * length, D] -> [M * (length - dropped), D]. Not
// differentiable.
Tensor drop_first_tokens(Tape& tape, const Tensor& x, std::int64_t length, std::int64_t dropped);

// [first..., tokens...] of M residual streams: first [M * F, D], tokens [M * L, D] -> [M * (F + L), D].
Tensor prepend_tokens(Tape& tape, const Tensor& first, const Tensor& tokens, std::int64_t sequences);

// a and b [rows, D] side by side, as activations: [rows, 2 D]. a and b are not saved for the backward pass.
Tensor join_columns(Tape& tape, const Tensor& a, const Tensor& b);

// The first of several conditions, [M, n * width] -> [M, width].
Tensor first_condition(Tape& tape, const Tensor& conditions, std::int64_t width);

// x[index] and destination[index] = x for rows of fp32; index int32 [rows, 1]. Not differentiable.
Tensor gather_rows(Tape& tape, const Tensor& x, const Tensor& index);
void scatter_rows(Tape& tape, const Tensor& destination, const Tensor& x, const Tensor& index);
// The same as gather_rows into a tensor that there is, [index.rows(), x.width()].
void gather_rows(Tape& tape, const Tensor& destination, const Tensor& x, const Tensor& index);

// Rows of `width` elements of x by their number, index int32 [n, 1], each at most once: [n, width]. A row of
// x may hold several such rows side by side.
Tensor select_rows(Tape& tape, const Tensor& x, const Tensor& index, std::int64_t width);

// Of images of side x side tokens (kernels/layout/token_patches.h): ids int32 [B, side^2] from raster order
// to that of patches of patch x patch tokens, [B * patches, patch^2]; and rows of fp32 back, x [B * patches,
// patch^2 * width] -> [B * side^2, width]. Not differentiable.
Tensor ids_to_patches(Tape& tape, const Tensor& ids, std::int64_t side, std::int64_t patch);
Tensor patches_to_raster(Tape& tape, const Tensor& x, std::int64_t side, std::int64_t patch);
