// How far apart two feature maps are, as LPIPS measures it: at every position the channels are brought to
// length 1, and their squared differences weighted.
//
//   u = a / (|a| + 1e-10), v = b / (|b| + 1e-10)        total += factor * sum_{r, c} w_c (u_rc - v_rc)^2
//   g_c = 2 scale w_c (u_c - v_c)        da_c = (g_c - u_c sum_k g_k a_k / |a|) / (|a| + 1e-10)
//
// da is 0 where a is: there is no slope. b is the target and gets no gradient. The sum is taken in double.
// Source: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a
// Perceptual Metric" (arXiv 1801.03924), equation 1.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// a, b [rows, width], weight [width]; `workspace`: feature_distance_workspace() doubles. Moves 8 bytes per
// element (each row is read twice, the second time from the cache), 10 operations.
void feature_distance_accumulate(double* total, double* workspace, const float* a, const float* b,
                                 const float* weight, double factor, std::int64_t rows, std::int64_t width);
std::int64_t feature_distance_workspace();

// da [rows, width] is overwritten. Moves 12 bytes per element, 20 operations. No aliasing.
void feature_distance_backward(float* da, const float* a, const float* b, const float* weight, float scale,
                               std::int64_t rows, std::int64_t width);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void feature_distance_accumulate(Stream stream, double* total, double* workspace, const T* a, const T* b,
                                 const float* weight, double factor, std::int64_t rows, std::int64_t width);
std::int64_t feature_distance_workspace();
template <class T>
void feature_distance_backward(Stream stream, T* da, const T* a, const T* b, const float* weight, float scale,
                               std::int64_t rows, std::int64_t width);

}  // namespace cuda
