// Operations on feature maps: tensors [B * H * W, C], channels last, positions in raster order, elements of
// the tape's activation type. A convolution of 1x1 is `linear` (ops.h). Throw std::logic_error for shapes
// that do not fit.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/norm/groupnorm.h"
#include "runtime/ops/conv_ops.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// y = f(groupnorm(x)) of maps of `positions` = H * W each, weight and bias [C] (kernels/norm/groupnorm.h).
Tensor groupnorm(Tape& tape, const Tensor& x, std::int64_t positions, const Parameter& weight,
                 const Parameter& bias, std::int64_t groups, float epsilon, Activation activation);

// Means of 2 x 2 positions: maps of an even size -> maps of half of it.
Tensor average_pool(Tape& tape, const Tensor& x, MapSize size);
// The largest of 2 x 2 positions: maps of `size` -> maps of half of it, rounded down, at least 1 x 1.
Tensor max_pool(Tape& tape, const Tensor& x, MapSize size);
// The largest, and the mean, of the positions of square windows (kernels/conv/window_pool.h). Not recorded.
Tensor window_max(Tape& tape, const Tensor& x, MapSize size, std::int64_t window, std::int64_t stride,
                  std::int64_t padding);
Tensor window_mean(Tape& tape, const Tensor& x, MapSize size, std::int64_t window, std::int64_t stride,
                   std::int64_t padding);
// The mean over all positions: maps [B * positions, C] -> [B, C].
Tensor position_mean(Tape& tape, const Tensor& x, std::int64_t positions);
// Nearest neighbour: maps of `size` -> maps of twice that.
Tensor upsample_nearest(Tape& tape, const Tensor& x, MapSize size);

// Channels of maps of one size and type, behind each other. Not recorded.
Tensor concatenate_channels(Tape& tape, std::span<const Tensor> maps);

// a + b, of one type.
Tensor add_maps(Tape& tape, const Tensor& a, const Tensor& b);
