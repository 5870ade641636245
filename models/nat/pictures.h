// From tokens to pictures, queued on the device after the tokens' generation.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/nat/tokenizer.h"
#include "runtime/tensor/tape.h"

// A pixel in [0, 1] as 8 bits: clamped, rounded to the nearest; 0 for NaN.
std::uint8_t pixel_byte(float pixel);

// Pictures number `first` and following: fp32 [count * f side * f side, channels], channels last, not
// clamped. Called while planning, too.
using PictureReceiver = std::function<void(std::int64_t first, const Tensor& pictures)>;

// Decodes tokens int32 [images * side^2, 1], a few images at a time: about 2^18 pixels.
void decode_pictures(Tape& tape, const Tokenizer& tokenizer, const Tensor& tokens, std::int64_t side,
                     const PictureReceiver& receive);

// A NatGenerator::Continuation that decodes the tokens into `bytes`, [images, channels, f side, f side],
// rounded and clamped, overwritten. Tokenizer and bytes must outlive it.
std::function<void(Tape&, const Tensor&)> decode_into(const Tokenizer& tokenizer, std::int64_t side,
                                                      std::vector<std::uint8_t>& bytes);

// The same into values from 0 to 255 that are clamped, but not rounded: as the release of AutoNAT measures them.
std::function<void(Tape&, const Tensor&)> decode_into(const Tokenizer& tokenizer, std::int64_t side,
                                                      std::vector<float>& values);

// The same for tokens on the host, [images, side^2], each in 0..K-1, as a separate job.
std::vector<std::uint8_t> decoded_bytes(const Tokenizer& tokenizer, std::span<const std::int32_t> tokens,
                                        std::int64_t side);
