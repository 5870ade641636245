// The operations on the residual stream, which is fp32 in either precision: norms take it, branches join it.
// The rules of ops.h hold.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// Which numbers a dropout draws: a key for (seed, name), the step, and the sequence_id of each sequence (int64
// [sequences]).
struct DropoutRule {
    float probability = 0;
    PhiloxKey key;
    std::uint32_t step = 0;
    NodeId sequence_ids = -1;
};

Tensor layernorm(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter& bias, float epsilon);
// The same as the start of a residual stream: fp32.
Tensor layernorm_f32(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter& bias,
                     float epsilon);
Tensor rmsnorm(Tape& tape, const Tensor& x, const Parameter& weight, float epsilon);
// x with elements dropped; the rule's sequences have rows / sequences tokens each.
Tensor dropout(Tape& tape, const Tensor& x, const DropoutRule& rule);
// x + dropout(branch); the rule's sequences have rows / sequences tokens each.
Tensor residual(Tape& tape, const Tensor& x, const Tensor& branch, const DropoutRule& dropout);

// A branch joins the stream and the next one norms it: sum = x + dropout(branch) and norm(sum), in one pass
// where nothing is dropped.
struct NormedSum {
    Tensor sum, normed;
};
NormedSum residual_layernorm(Tape& tape, const Tensor& x, const Tensor& branch, const DropoutRule& dropout,
                             const Parameter& weight, const Parameter& bias, float epsilon);
NormedSum residual_rmsnorm(Tape& tape, const Tensor& x, const Tensor& branch, const DropoutRule& dropout,
                           const Parameter& weight, float epsilon);
