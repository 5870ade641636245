// Operations of the masked-token transformer: its sequence of a context and tokens, its long skips, and its
// head over selected tokens. The rules of ops.h apply.
#pragma once

#include <cstdint>

#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// x, sequences of L tokens of D however they lie in rows, + positions [L, D]: [sequences * L, D], the start
// of a residual stream, fp32.
Tensor add_positions(Tape& tape, const Tensor& x, const Parameter& positions);

// [first, tokens...] of residual streams: first [M, D], tokens [M * L, D] -> [M * (1 + L), D].
Tensor prepend_token(Tape& tape, const Tensor& first, const Tensor& tokens);
// The tokens alone again: [M * length, D] -> [M * (length - 1), D]. Not differentiable.
Tensor drop_first_token(Tape& tape, const Tensor& x, std::int64_t length);

// a and b [rows, D] side by side, as activations: [rows, 2 D]. a and b are not saved for the backward pass.
Tensor join_columns(Tape& tape, const Tensor& a, const Tensor& b);

// Rows of `width` elements of x by their number, index int32 [n, 1], each at most once: [n, width]. A row of
// x may hold several such rows side by side.
Tensor select_rows(Tape& tape, const Tensor& x, const Tensor& index, std::int64_t width);

// Of images of side x side tokens (kernels/layout/token_patches.h): ids int32 [B, side^2] from raster order
// to that of patches of patch x patch tokens, [B * patches, patch^2]; and rows of fp32 back, x [B * patches,
// patch^2 * width] -> [B * side^2, width]. Not differentiable.
Tensor ids_to_patches(Tape& tape, const Tensor& ids, std::int64_t side, std::int64_t patch);
Tensor patches_to_raster(Tape& tape, const Tensor& x, std::int64_t side, std::int64_t patch);

// Logits x . table^T + bias of the first `vocabulary` rows of a table [at least vocabulary, D], in the type
// of x [n, D]. Not recorded.
Tensor tied_logits(Tape& tape, const Tensor& x, const Parameter& table, const Parameter& bias,
                   std::int64_t vocabulary);

// Cross-entropy of these logits against targets int32 [n, 1] with label smoothing
// (kernels/loss/cross_entropy.h): adds the sum over the rows to `total` (double [1, 1]). While recording, the
// gradient of scale * (that sum) is left in x and in the bias at once, none in the table: the logits are
// stored only during this call.
struct SmoothedLoss {
    float smoothing = 0, scale = 1;
};
void tied_cross_entropy(Tape& tape, const Tensor& x, const Tensor& targets, const Parameter& table,
                        const Parameter& bias, std::int64_t vocabulary, const SmoothedLoss& rule,
                        const Tensor& total);
