// Pixels as bytes and as the normalised values of the models.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/fractal/config.h"

// Bytes [n, C, s, s] to normalised values and back, both of whole pictures.
std::vector<float> normalized_picture(const FractalConfig& config, std::span<const std::uint8_t> bytes);
void to_bytes(const FractalConfig& config, std::span<const float> normalized, std::uint8_t* bytes);
