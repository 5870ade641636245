// Drawing pixels: the whole pixel level of the fractal model, all channels and blocks, as one kernel.
//
// A pixel's channels are drawn one after the other. For channel c, with the condition z and the values
// v_0 .. v_{c-1} drawn before it:
//
//   t = z A^T + a  (c = 0),   t = codebook_{c-1}[v_{c-1}]  (c > 0)         x = LN(t; ln)
//   for every block:   q_c, k_c, v_c = LN(x; norm1) Q^T + b_q
//                      x += attention(q_c; k_0..k_c, v_0..v_c) P^T + b_p   (per head, 1 / sqrt(head_dim))
//                      x += gelu(LN(x; norm2) F1^T + b_1) F2^T + b_2
//   logits = LN(x; norm) codebook_c^T + b_c                                v_c drawn by categorical_sample
//
// with W the width, LN(x; n) = layer normalisation, eps 1e-6, gelu the exact one, and the keys and values of
// the earlier channels kept from their turn. Source: Li et al., "Fractal Generative Models" (2025, arXiv
// 2502.17437), section 4.3, and the release for the order of the operations.
//
// One kernel, because drawing an image visits the pixel level once for every pixel with a few rows only: as
// some 35 kernels a visit costs its overheads, not its arithmetic. Here a thread takes up to 8 rows from
// their conditions to their values: the activations stay in its first-level cache, and the weights stream
// past once per channel, from the second-level cache.
//
// Cost per row, with C channels, B blocks and K the condition's width: 2 W (K + C (12 W B + 256)) operations,
// and for every tile of up to 8 rows 4 W (K + C (12 W B + 256)) bytes of weights: 4 operations a byte at 8
// rows.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"
#include "kernels/common/stream.h"
#include "kernels/sampling/categorical.h"
#include "kernels/sampling/value_code.h"

// 256 values per channel; the width is a multiple of heads, head_dim <= 256.
struct PixelSamplerShape {
    std::int64_t channels;  // 1 or 3
    std::int64_t width, condition_width, blocks, heads;
};

// As parameters are stored: weights [N, K], biases [N]; norms [W].
struct PixelSamplerBlock {
    const float *norm1_weight, *norm1_bias;
    const float *qkv_weight, *qkv_bias;  // [3 W, W]: q, k, v, each split into heads
    const float *proj_weight, *proj_bias;
    const float *norm2_weight, *norm2_bias;
    const float *fc1_weight, *fc1_bias;  // [4 W, W]
    const float *fc2_weight, *fc2_bias;  // [W, 4 W]
};

// Where drawn values go as the networks' inputs as well: y[rows[r]] of float [.., channels] from row r of the values,
// as normalize_values has them (kernels/layout/pixels.h). Without y: nowhere.
struct NormalizedPixels {
    float* y = nullptr;
    const std::int32_t* rows = nullptr;
    float mean[3] = {}, deviation[3] = {};
};

struct PixelSamplerWeights {
    const float *condition_weight, *condition_bias;  // [W, condition width]
    const float* codebooks[3];                       // [256, W] of each channel
    const float *ln_weight, *ln_bias, *norm_weight, *norm_bias;
    const float* biases[3];  // [256] of each channel
    // [blocks], themselves in host memory on every device
    const PixelSamplerBlock* blocks;
};

namespace cpu {

// Whether the activations of a tile fit into the 512 KiB of stack a thread may use. From width 64 on that is
// W (6 + 2 B C) <= 16,384: 4 blocks at width 512 and 20 at width 128 for 3 channels. pixel_sample asserts it.
bool pixel_sampler_fits(const PixelSamplerShape& shape);

std::int64_t pixel_sampler_packed_elements(const PixelSamplerShape& shape);

// Lays the weights out for pixel_sample, once per sampling job: every linear layer in panels of 32 outputs,
// [bias, K rows of weights] x 32, the last one filled up with zeros. packed [pixel_sampler_packed_elements]
// must not overlap a weight; on a 64-byte boundary it is read fastest.
void pixel_sampler_pack(float* packed, const PixelSamplerWeights& weights, const PixelSamplerShape& shape);

// Draws all channels of `draws` pixels.
//   values [R, channels], overwritten
//   margins [channels, draws], overwritten, may be null: see categorical_sample
//   conditions [R, condition width]
//   uniforms [channels, draws] in [0, 1), may be null when greedy or with a key
//   key: may be null; without uniforms, those of uniform_by_sequence for sequence_ids [draws]
//   limits [channels, draws, 2], may be null: smallest and largest value allowed, see categorical_sample
//   code: where it is on, values are given or decoded in place of drawn (value_code.h); there is no guidance,
//     uniforms, margins and limits are neither read nor written, and no two draws are of one picture
//   normalized: y may be null; not with a code
// R = draws; with guidance (scale other than 1) R = 2 draws: the unconditional rows follow the conditional
// ones in the same order and receive the values of their partners. No output may overlap an input. Nothing is
// allocated. A row's result depends neither on the other rows nor on the number of threads.
void pixel_sample(std::int32_t* values, float* margins, const float* conditions, const float* uniforms,
                  const float* packed, const PixelSamplerShape& shape, std::int64_t draws,
                  const Guidance& guidance, const std::uint8_t* limits = nullptr, const PixelCode& code = {},
                  const std::int64_t* sequence_ids = nullptr, const PhiloxKey* key = nullptr,
                  const NormalizedPixels& normalized = {});

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
// packed lies on a 16-byte boundary; one number of elements serves both types.
//
// pixel_sampler_fits: whether the activations of one draw with guidance fit into a block's shared memory. On
// an H100 (227 KiB) that is about W (40 + 16 B (C - 1)) <= 116,000 bytes in float, 8 blocks at width 384 for
// 3 channels. pixel_sample throws where they do not.
bool pixel_sampler_fits(const PixelSamplerShape& shape);
std::int64_t pixel_sampler_packed_elements(const PixelSamplerShape& shape);
template <class T>
void pixel_sampler_pack(Stream stream, T* packed, const PixelSamplerWeights& weights,
                        const PixelSamplerShape& shape);
template <class T>
void pixel_sample(Stream stream, std::int32_t* values, float* margins, const T* conditions,
                  const float* uniforms, const T* packed, const PixelSamplerShape& shape, std::int64_t draws,
                  const Guidance& guidance, const std::uint8_t* limits = nullptr, const PixelCode& code = {},
                  const std::int64_t* sequence_ids = nullptr, const PhiloxKey* key = nullptr,
                  const NormalizedPixels& normalized = {});

}  // namespace cuda
