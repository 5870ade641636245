// Operations of the masked-token transformer: its sequence of a context and tokens, its long skips, and its
// head over selected tokens. The rules of ops.h apply.
#pragma once

#include <cstdint>

#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// x, sequences of L tokens of D however they lie in rows, + positions [L, D]: [sequences * L, D], the start
// of a residual stream, fp32.
Tensor add_positions(Tape& tape, const Tensor& x, const Parameter& positions);

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

// Cross-entropy of `logits` [n, vocabulary], which feed nothing else, against targets int32 [n, 1]: adds the sum
// over the rows to `total` (double [1, 1]). While recording, the gradient of scale * (that sum) is left in the
// logits at once.
void cross_entropy(Tape& tape, const Tensor& logits, const Tensor& targets, const SmoothedLoss& rule,
                   const Tensor& total);
