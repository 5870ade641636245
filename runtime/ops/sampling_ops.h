// Operations of sampling: one-token steps with a key-value cache, weights packed for few rows, and draws.
// None is recorded.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/common/philox.h"
#include "kernels/sampling/categorical.h"
#include "kernels/sampling/pixel_sampler.h"
#include "runtime/ops/image_ops.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// A linear layer with weights for repeated products with few rows, N outputs starting at `weight` (and
// continuing in adjacent parameters): packed for the job (kernels/linear/packed_linear.h) or, on the CPU in
// bf16, as all its products read them (Tape::weight), without `packed`.
struct PackedLinear {
    const Parameter* weight;
    const Parameter* bias;  // may be null
    std::int64_t N;
    Tensor packed;
};
PackedLinear pack_linear(Tape& tape, const Parameter& weight, const Parameter* bias, std::int64_t N);
Tensor packed_linear(Tape& tape, const Tensor& x, const PackedLinear& layer);

// Causal attention for one new token per sequence (qkv [sequences, 3 D]) at `position`, whose k and v join
// the caches [sequences, capacity * D] first.
Tensor attention_decode(Tape& tape, const Tensor& qkv, const Tensor& key_cache, const Tensor& value_cache,
                        std::int64_t heads, std::int64_t position, std::int64_t capacity);

// x [M, D] + positions[t].
Tensor add_position(Tape& tape, const Tensor& x, const Parameter& positions, std::int64_t t);
// Keys of random numbers in device memory, as words [keys, 2] of fp32, and the address of a row of them.
Tensor device_keys(Tape& tape, std::span<const PhiloxKey> keys);
const PhiloxKey* key_address(Tape& tape, const Tensor& key);
// Settings of draws in device memory, the same way: a row each.
Tensor device_settings(Tape& tape, std::span<const Guidance> settings);
// Uniform numbers of draws, fp32 [C, draws]: `given`, or those that sequence_ids (int64, the first `draws`) have by
// `key`, a row of device_keys(), and that the drawing kernel makes for itself.
struct Uniforms {
    Tensor numbers;
    bool given;
    Tensor sequence_ids, key;
};
// Makes them given.
void uniforms_by_sequence(Tape& tape, Uniforms& uniforms);
// Draws a value of each row of logits (fp32 [R, V], V <= categorical_max_vocabulary): int32 [R, 1]. R is the number
// of `uniforms`' columns, or twice that if `guided`: the unconditional rows follow and receive the values of
// their partners. `settings` and `margins` [1, R] as for sample_pixels.
Tensor sample_values(Tape& tape, const Tensor& logits, const Tensor& uniforms, bool guided,
                     const Tensor& settings, const Tensor& margins);
// Whether a pixel level of this shape can be sampled: see kernels/sampling/pixel_sampler.h.
bool pixel_sampler_fits(Device device, const PixelSamplerShape& shape);
// The pixel level's weights in its sampler's layout, for one sampling job: kernels/sampling/pixel_sampler.h.
Tensor pack_pixel_sampler(Tape& tape, const PixelSamplerWeights& weights, const PixelSamplerShape& shape);
// Draws pixels for `condition` [R, condition width]: values int32 [R, C]. R is the number of the uniforms'
// columns, or twice that with guidance, the unconditional rows last. `margins` [C, R] receives each uniform's
// distance to the nearer edge of its value's interval. `settings`, a row of device_settings(), is what counts;
// `guided` says whether there are unconditional rows. `limits`, uint8 [C * R, 2] or none, bounds the values, which
// go to `into` as well.
Tensor sample_pixels(Tape& tape, const Tensor& condition, const Uniforms& uniforms, const Tensor& packed,
                     const PixelSamplerShape& shape, bool guided, const Tensor& settings,
                     const Tensor& margins, const Tensor& limits = Tensor(), const NormalizedRows& into = {});

// Inputs and outputs of a code of P pictures of N pixels with C channels, see PixelCode
// (kernels/sampling/value_code.h), in rows of pictures.
struct PixelCodeTensors {
    std::int64_t picture_pixels;
    bool decodes;
    Tensor given;      // u8 [P, N C], of encoding
    Tensor intervals;  // CodeInterval in i32 [P, N C], of encoding
    Tensor lanes;      // CodeLane in i64 [P, 1], of decoding
    Tensor bytes;      // u8 [P, 2 N C], of decoding
};
// As sample_pixels, with given or decoded values in place of drawn ones, for the first rows of `pixels`, their
// numbers.
Tensor code_pixels(Tape& tape, const Tensor& condition, const Tensor& packed, const PixelSamplerShape& shape,
                   const Tensor& pixels, const PixelCodeTensors& code);
