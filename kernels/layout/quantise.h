// Vector quantisation: each vector z_m is replaced by its codebook row q_m = codebook[codes_m].
//
//   y = z + (q - z), in float                       total += sum (q - z)^2
//
// The gradient passes y as if it were z (straight-through), and the two terms of the loss, which have the
// same value but each moves one side, add to it: with s the loss's scale and b that of its second term,
//
//   loss = s (sum (sg(q) - z)^2 + b sum (q - sg(z))^2)
//   dz = dy + 2 s (z - q)        dcodebook_k += 2 s b sum over m with codes_m = k of (q - z)
//
// Sources: van den Oord et al. 2017 (arXiv 1711.00937), equations 2 and 3; which term b weights, as released
// with VQGAN (Esser, Rombach, Ommer 2021).
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// y, z [M, C]; squares [M]: each vector's part of the sum; codebook [K, C]; codes [M] in 0..K-1. y may be z.
// Moves 8 bytes per element, the codebook's rows from cache; 4 operations.
void quantise_forward(float* y, float* squares, const float* z, const float* codebook,
                      const std::int32_t* codes, std::int64_t M, std::int64_t C);

// dz, dy, z [M, C]; dz is overwritten and may be dy; dy null: zero. d_rows [M, C] overwritten: each vector's
// term of the gradient of its codebook row, summed by embedding_backward (embedding.h). z_scale is 2 s,
// codebook_scale 2 s b. Moves 16 bytes per element; 5 operations.
void quantise_backward(float* dz, float* d_rows, const float* dy, const float* z, const float* codebook,
                       const std::int32_t* codes, float z_scale, float codebook_scale, std::int64_t M,
                       std::int64_t C);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void quantise_forward(Stream stream, float* y, float* squares, const float* z, const float* codebook,
                      const std::int32_t* codes, std::int64_t M, std::int64_t C);
void quantise_backward(Stream stream, float* dz, float* d_rows, const float* dy, const float* z,
                       const float* codebook, const std::int32_t* codes, float z_scale, float codebook_scale,
                       std::int64_t M, std::int64_t C);

}  // namespace cuda
