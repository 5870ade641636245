// Softmax and cross-entropy in one, natural logarithm. With z the logits of a row and t its target:
//
//   loss = log(sum_v e^(z_v - max z)) + max z - z_t        d loss / d z_v = e^(z_v - max z) / sum - [v = t]
//
// With label smoothing s the target is (1 - s) [v = t] + s / V over the V logits (Szegedy et al. 2016, arXiv
// 1512.00567, section 7), and with the mean distance m = sum_v (max z - z_v) / V:
//
//   loss = log(sum_v e^(z_v - max z)) + (1 - s) (max z - z_t) + s m
//   d loss / d z_v = e^(z_v - max z) / sum - (1 - s) [v = t] - s / V
//
// The maximum is taken out first, so logits of any finite size are safe; without smoothing infinite ones are
// too.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// losses [rows]; logits [rows, vocabulary]; the target of row r is targets[r * target_stride], in
// 0..vocabulary-1 (not checked). Moves 4 bytes per logit (twice from cache); about 20 operations, 22 with
// smoothing.
void cross_entropy_forward(float* losses, const float* logits, const std::int32_t* targets,
                           std::int64_t target_stride, std::int64_t rows, std::int64_t vocabulary,
                           float smoothing = 0);

// The same, and logits is replaced by the gradient of scale * sum(losses) with respect to it: the
// probabilities are never stored elsewhere. Moves 8 bytes per logit; about 22 operations, 25 with
// smoothing.
void cross_entropy_forward_backward(float* losses, float* logits, const std::int32_t* targets,
                                    std::int64_t target_stride, std::int64_t rows, std::int64_t vocabulary,
                                    float scale, float smoothing = 0);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void cross_entropy_forward(Stream stream, float* losses, const T* logits, const std::int32_t* targets,
                           std::int64_t target_stride, std::int64_t rows, std::int64_t vocabulary,
                           float smoothing = 0);
template <class T>
void cross_entropy_forward_backward(Stream stream, float* losses, T* logits, const std::int32_t* targets,
                                    std::int64_t target_stride, std::int64_t rows, std::int64_t vocabulary,
                                    float scale, float smoothing = 0);

}  // namespace cuda
