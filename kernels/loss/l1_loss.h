// The distance of a picture to its target, and its slope:
//
//   total += sum_i |x_i - target_i|        dx_i = scale * sign(x_i - target_i), 0 where they are equal
//
// The sum is taken in double.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// x, target [count]; `workspace`: l1_loss_workspace() doubles. Moves 8 bytes per element, 2 operations.
void l1_loss_accumulate(double* total, double* workspace, const float* x, const float* target,
                        std::int64_t count);
std::int64_t l1_loss_workspace();

// dx, x, target [count]. dx is overwritten and may be x. Moves 12 bytes per element, 2 operations.
void l1_loss_backward(float* dx, const float* x, const float* target, float scale, std::int64_t count);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void l1_loss_accumulate(Stream stream, double* total, double* workspace, const T* x, const float* target,
                        std::int64_t count);
std::int64_t l1_loss_workspace();
template <class T>
void l1_loss_backward(Stream stream, T* dx, const T* x, const float* target, float scale, std::int64_t count);

}  // namespace cuda
