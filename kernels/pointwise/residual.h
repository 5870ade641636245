// The residual stream: a block adds its branch to its input.
//
//   out = x + branch        dx += dy (into the stream's gradient; the branch's gradient is dy itself)
//
// Source: He et al., "Deep Residual Learning for Image Recognition" (2015, arXiv 1512.03385), equation 1.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"
#include "kernels/pointwise/dropout.h"

namespace cpu {

// out, x, branch [count]. out may be x or branch. Moves 12 bytes per element, 1 operation.
void residual_forward(float* out, const float* x, const float* branch, std::int64_t count);

// dx, dy [count]. Accumulates. Moves 12 bytes per element, 1 operation.
void residual_backward_accumulate(float* dx, const float* dy, std::int64_t count);

// out = x + dropout(branch) in one pass, the mask as in dropout.h; the branch's gradient is
// dropout_backward(dy). out, x, branch [sequences, dropout.elements_per_sequence]. out may be x or branch.
// Moves 12 bytes per element where the two kernels one after the other move 20.
void residual_dropout_forward(float* out, const float* x, const float* branch, std::int64_t sequences,
                              const Dropout& dropout);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h. S is float, or T where
// the stream is a feature map, kept in the type of activations.
template <class S, class T>
void residual_forward(Stream stream, S* out, const S* x, const T* branch, std::int64_t count);
template <class T>
void residual_backward_accumulate(Stream stream, T* dx, const T* dy, std::int64_t count);
template <class T>
void residual_dropout_forward(Stream stream, float* out, const float* x, const T* branch,
                              std::int64_t sequences, const Dropout& dropout);

}  // namespace cuda
