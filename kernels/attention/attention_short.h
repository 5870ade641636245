// Attention over sequences of at most four tokens, such as the three tokens of a pixel. The 4 x 4 scores of a
// head fill one register of 16 lanes (lane 4 i + j: query i, key j), so that one exp serves all of them, and
// maximum and sum of a query are two shuffles within its quarter. One core takes about 70 ns forward and
// 110 ns backward for a head of 3 tokens and head_dim 32; beyond L2 the memory decides: 16 L d bytes forward,
// 28 L d bytes backward (`out` is not needed, since D_i = sum_j P_ij dP_ij).
//
// Source of the formulas: kernels/attention/attention.h.
#pragma once

#include "kernels/attention/attention.h"

namespace cpu::attention {

// The arguments of attention_forward and attention_backward. Returns false without effect unless length is
// 1..4 and head_dim a multiple of 16. There is no dropout here.
bool short_attention_forward(float* out, float* log_sum_exp, const float* qkv, const AttentionShape& shape);
bool short_attention_backward(float* d_qkv, const float* d_out, const float* log_sum_exp, const float* qkv,
                              const AttentionShape& shape);

}  // namespace cpu::attention
