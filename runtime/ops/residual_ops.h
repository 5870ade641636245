// Operations on the residual stream, which is fp32 in either precision: norms read it, branches are added to
// it. The rules of ops.h apply.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// Random numbers of a dropout: a key for (seed, name), the step, and the id of each sequence (int64
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

// A residual addition and the next branch's norm: sum = x + dropout(branch) and norm(sum), in one pass
// without dropout.
struct NormedSum {
    Tensor sum, normed;
};
NormedSum residual_layernorm(Tape& tape, const Tensor& x, const Tensor& branch, const DropoutRule& dropout,
                             const Parameter& weight, const Parameter& bias, float epsilon);
NormedSum residual_rmsnorm(Tape& tape, const Tensor& x, const Tensor& branch, const DropoutRule& dropout,
                           const Parameter& weight, float epsilon);
