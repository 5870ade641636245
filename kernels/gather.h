// Moving whole rows and naming the sequences they belong to. Bytes moved: each row once in, once out; no
// arithmetic.
#pragma once

#include <cstdint>

#include "kernels/stream.h"

namespace cpu {

// y[r, :] = x[r, :] for `rows` rows of `width` floats that lie `y_stride` and `x_stride` floats apart. With
// x_stride = L * W and width = (L - 1) * W this drops the last token of every sequence.
void copy_rows(float* y, std::int64_t y_stride, const float* x, std::int64_t x_stride, std::int64_t rows,
               std::int64_t width);

// Path of a patch: path of its sequence * L + its place in raster order, starting from the sample's number.
// It names the patch for every random number drawn for it. children [M, L] from parents [M].
void child_paths(std::int64_t* children, const std::int64_t* parents, std::int64_t M, std::int64_t L);
// children [M]: the paths of patch t alone.
void child_paths_at(std::int64_t* children, const std::int64_t* parents, std::int64_t t, std::int64_t M,
                    std::int64_t L);

}  // namespace cpu

namespace cuda {

// The same contracts on the device: stream.h says what pointers and sizes mean there.
void copy_rows(Stream stream, float* y, std::int64_t y_stride, const float* x, std::int64_t x_stride,
               std::int64_t rows, std::int64_t width);
void child_paths(Stream stream, std::int64_t* children, const std::int64_t* parents, std::int64_t M,
                 std::int64_t L);
void child_paths_at(Stream stream, std::int64_t* children, const std::int64_t* parents, std::int64_t t,
                    std::int64_t M, std::int64_t L);

}  // namespace cuda
