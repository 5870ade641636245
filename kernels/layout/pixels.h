// Between bytes and normalised inputs of the networks: y = (x / 255 - mean_c) / deviation_c per channel. mean
// and deviation are host memory on every device, C <= 4 numbers read before the call returns.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

inline float normalized_value(std::int32_t value, float mean, float deviation) {
    return (static_cast<float>(value) / 255.0f - mean) / deviation;
}

// y, x [N, C, plane] with plane = height * width; mean, deviation [C]. Rounds after each of the three
// operations, as torchvision does, so that the same bytes give the same bits. Moves 5 bytes per element.
void normalize_pixels(float* y, const std::uint8_t* x, const float* mean, const float* deviation,
                      std::int64_t N, std::int64_t C, std::int64_t plane);

// values [N, C] = (y * deviation_c + mean_c) * 255, rounded after each operation, then to the nearest integer
// (halves to even), clamped to 0..255; a value that is not a number becomes 0. normalized [N, C]; mean,
// deviation [C].
void pixel_values(std::int32_t* values, const float* normalized, const float* mean, const float* deviation,
                  std::int64_t N, std::int64_t C);

// The inverse: y [N, C] from values [N, C]; the same bits as normalize_pixels. With rows [N], which may be null and
// names no row twice, y[rows[n]] in place of y[n]; other rows of y stay.
void normalize_values(float* y, const std::int32_t* values, const float* mean, const float* deviation,
                      const std::int32_t* rows, std::int64_t N, std::int64_t C);

// Mean colour of images [M, C, size, size]: y [M, C], summed along the rows of pixels first, then over them.
// Moves 4 bytes per element.
void mean_pixels(float* y, const float* images, std::int64_t M, std::int64_t C, std::int64_t size);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void normalize_pixels(Stream stream, float* y, const std::uint8_t* x, const float* mean,
                      const float* deviation, std::int64_t N, std::int64_t C, std::int64_t plane);
void pixel_values(Stream stream, std::int32_t* values, const float* normalized, const float* mean,
                  const float* deviation, std::int64_t N, std::int64_t C);
void normalize_values(Stream stream, float* y, const std::int32_t* values, const float* mean,
                      const float* deviation, const std::int32_t* rows, std::int64_t N, std::int64_t C);
void mean_pixels(Stream stream, float* y, const float* images, std::int64_t M, std::int64_t C,
                 std::int64_t size);

}  // namespace cuda
