// Geometry of editing a part of an image, on the host: the patches of each level that the mask touches, their
// known pixels, and the resulting limits of values.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/fractal/config.h"
#include "models/fractal/image_values.h"

// An image to redraw in part: its values [C, s, s], mask [s, s] with 1 for every pixel or token to redo.
struct EditTask {
    ImageValues picture;
    std::span<const std::uint8_t> mask;
};

// Upper left pixel of a level's image in the whole picture.
struct PatchOrigin {
    std::int64_t row, column;
};

// Throws UsageError if nothing is hidden, or if an AR level would have to redo patches other than all that
// comes after its first hidden patch in raster order.
void require_editable(const FractalConfig& config, std::span<const std::uint8_t> mask);

PatchOrigin patch_origin(const FractalConfig& config, std::size_t level, PatchOrigin image,
                         std::int64_t patch);

// In all of these `origins` are those of the level's images, M of them.

// Per patch 1 if the mask touches it, [M, L].
std::vector<std::uint8_t> hidden_patches(const FractalConfig& config, std::size_t level, const EditTask& task,
                                         std::span<const PatchOrigin> origins);
// The picture's patches [M * L, C * p^2], from its moved values (image_values.h) [C, s, s]; hidden ones are 0.
std::vector<float> known_patches(const FractalConfig& config, std::size_t level, const EditTask& task,
                                 std::span<const float> picture, std::span<const PatchOrigin> origins);
// Smallest and largest mean value, rounded, that the known pixels of each image leave open: [C, M, 2].
std::vector<std::uint8_t> guiding_limits(const FractalConfig& config, std::size_t level, const EditTask& task,
                                         std::span<const PatchOrigin> origins);

// Partially sampled images: moved values [n, C, s, s], unspecified where nothing is known, and a mask of the pixels
// or tokens present [n, s, s].
struct TraceFrame {
    std::vector<float> images;
    std::vector<std::uint8_t> known;
};
// From the patches of level 0, [n * L, C * p^2], and which of them are hidden, [n, L]; a null task: nothing
// is known. Known pixels of partly known, still hidden patches are present.
TraceFrame trace_frame(const FractalConfig& config, const EditTask* task, std::span<const float> picture,
                       std::span<const float> patches, std::span<const std::uint8_t> hidden, std::int64_t n);
