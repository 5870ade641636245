// Convolutions of feature maps: tensors [batch * height * width, channels] in raster order, in the tape's
// activation type. A 1 x 1 convolution is linear() of runtime/ops/ops.h.
#pragma once

#include <cstdint>

#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

struct MapSize {
    std::int64_t height, width;
    bool operator==(const MapSize&) const = default;
};

// The size of a map's convolution.
MapSize convolved(MapSize size, MapSize kernel, std::int64_t stride, MapSize padding);
inline MapSize convolved(MapSize size, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
    return convolved(size, {kernel, kernel}, stride, {padding, padding});
}

// y [B * out_height * out_width, N] = x [B * height * width, C] * weight [N, C, kernel, kernel] + bias [N] or
// null: see kernels/conv/conv2d.h; kernels need not be square. Throws std::logic_error for shapes that do not fit, a padding as wide as
// the kernel among them.
Tensor conv2d(Tape& tape, const Tensor& x, MapSize size, const Parameter& weight, const Parameter* bias,
              std::int64_t stride, std::int64_t padding);
// The same with a fixed weight and bias: they have no gradient, and x is not saved for it.
Tensor frozen_conv2d(Tape& tape, const Tensor& x, MapSize size, const Parameter& weight,
                     const Parameter* bias, std::int64_t stride, std::int64_t padding);
// The larger of 0 and the same, with a padding of its own along each side. Not recorded.
Tensor rectified_conv2d(Tape& tape, const Tensor& x, MapSize size, const Parameter& weight,
                        const Parameter* bias, std::int64_t stride, MapSize padding);
