// Between images and what the models see: bytes and normalised values, patches, and the paths that name them.
// Nothing here is differentiable.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/tape.h"

// bytes uint8 [M, C * plane] -> (x / 255 - mean) / deviation.
Tensor normalize_pixels(Tape& tape, const Tensor& bytes, std::span<const float> mean,
                        std::span<const float> deviation);
// Normalised values [N, C] -> integers int32 [N, C], nearest, halves to even.
Tensor pixel_values(Tape& tape, const Tensor& normalized, std::span<const float> mean,
                    std::span<const float> deviation);
// The inverse.
Tensor normalize_values(Tape& tape, const Tensor& values, std::span<const float> mean,
                        std::span<const float> deviation);
// images [M, C * size^2] -> patches [M * L, C * patch^2] in raster order.
Tensor patchify(Tape& tape, const Tensor& images, std::int64_t channels, std::int64_t size,
                std::int64_t patch);
// Writes patch t [M, C * patch^2] into images [M, C * size^2].
void unpatchify_one(Tape& tape, const Tensor& images, const Tensor& patches, std::int64_t t,
                    std::int64_t channels, std::int64_t size, std::int64_t patch);
// Paths int64 of all patches, [M, 1] -> [M * L, 1], or of patch t alone, [M, 1] -> [M, 1].
Tensor child_paths(Tape& tape, const Tensor& paths, std::int64_t L);
Tensor child_paths_at(Tape& tape, const Tensor& paths, std::int64_t t, std::int64_t L);
