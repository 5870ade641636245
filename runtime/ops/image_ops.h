// Between images and inputs of the models: bytes and normalised values, codes of tokens, patches, and sequence
// ids. Not differentiable.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/conv/bilinear.h"
#include "runtime/ops/conv_ops.h"
#include "runtime/tensor/tape.h"

// bytes uint8 [M, C * plane] -> (x / 255 - mean) / deviation.
Tensor normalize_pixels(Tape& tape, const Tensor& bytes, std::span<const float> mean,
                        std::span<const float> deviation);
// Normalised values [N, C] -> integers int32 [N, C], nearest, halves to even.
Tensor pixel_values(Tape& tape, const Tensor& normalized, std::span<const float> mean,
                    std::span<const float> deviation);
// The inverse; and into some rows of a tensor.
Tensor normalize_values(Tape& tape, const Tensor& values, std::span<const float> mean,
                        std::span<const float> deviation);
// Rows `rows`, int32 [N, 1], of y (fp32 [.., C]); none without y.
struct NormalizedRows {
    Tensor y, rows;
    std::span<const float> mean, deviation;  // [C]
};
void scatter_normalized_values(Tape& tape, const NormalizedRows& into, const Tensor& values);
// Codes of tokens int32 [rows, width] as whole numbers in fp32, which is what patches are moved as, and back.
Tensor codes_to_float(Tape& tape, const Tensor& codes);
Tensor float_to_codes(Tape& tape, const Tensor& x);
// Pictures [B, C * size.height * size.width], planes of bytes (uint8) or values of the same range (float),
// resized: [B * out.height * out.width, C] in the activation type, factor * x + offset (kernels/conv/bilinear.h).
Tensor bilinear_resize(Tape& tape, const Tensor& pictures, MapSize size, MapSize out, PixelCentres centres,
                       float factor, float offset);
// Mean colour of images [M, C * size^2] -> [M, C].
Tensor mean_pixels(Tape& tape, const Tensor& images, std::int64_t channels, std::int64_t size);
// images [M, C * size^2] -> patches [M * L, C * patch^2] in raster order.
Tensor patchify(Tape& tape, const Tensor& images, std::int64_t channels, std::int64_t size,
                std::int64_t patch);
// The inverse.
Tensor unpatchify(Tape& tape, const Tensor& patches, std::int64_t channels, std::int64_t size,
                  std::int64_t patch);
