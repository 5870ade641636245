// The gated feed-forward unit's activation. Each row of gate_up holds the two projections of one token side
// by side, as one matrix product writes them: a = w1 x, then b = w3 x.
//
//   y = silu(a) b,  silu(a) = a s,  s = 1 / (1 + e^-a)
//   da = dy b s (1 + a (1 - s))        db = dy silu(a)
//
// Source: Shazeer, "GLU Variants Improve Transformer" (2020, arXiv 2002.05202), equation 6 (SwiGLU).
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// y [rows, hidden]; gate_up [rows, 2 * hidden]. No aliasing.
// Moves 12 bytes per element of y; about 22 operations, one of them a division.
void gated_silu_forward(float* y, const float* gate_up, std::int64_t rows, std::int64_t hidden);

// d_gate_up, gate_up [rows, 2 * hidden]; dy [rows, hidden]. d_gate_up is overwritten and may be gate_up.
// Moves 20 bytes per element of dy; about 27 operations.
void gated_silu_backward(float* d_gate_up, const float* dy, const float* gate_up, std::int64_t rows,
                         std::int64_t hidden);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void gated_silu_forward(Stream stream, T* y, const T* gate_up, std::int64_t rows, std::int64_t hidden);
template <class T>
void gated_silu_backward(Stream stream, T* d_gate_up, const T* dy, const T* gate_up, std::int64_t rows,
                         std::int64_t hidden);

}  // namespace cuda
