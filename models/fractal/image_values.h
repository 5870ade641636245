// What images hold, bytes of pixels or codes of tokens, and the fp32 values as which a model's levels move them:
// normalised pixels, or codes as whole numbers.
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "models/fractal/config.h"
#include "runtime/tensor/tape.h"

// Images [n, C, s, s]: bytes of a model of pixels, codes of a model of codes.
using ImageValues = std::variant<std::span<const std::uint8_t>, std::span<const std::int32_t>>;

// In host memory, of whole images. The functions that return values of images throw std::logic_error for those
// of the other kind than the model's.
std::vector<float> to_moved(const FractalConfig& config, const ImageValues& images);
std::vector<std::uint8_t> to_bytes(const FractalConfig& config, std::span<const float> moved);
std::vector<std::int32_t> to_codes(const FractalConfig& config, std::span<const float> moved);

// On the tape's device: `count` images [count, C * s^2]; values int32 [N, C] of moved ones [N, C], and back.
Tensor device_images(Tape& tape, const FractalConfig& config, const ImageValues& images, std::int64_t count);
Tensor image_values(Tape& tape, const FractalConfig& config, const Tensor& moved);
Tensor moved_values(Tape& tape, const FractalConfig& config, const Tensor& values);
