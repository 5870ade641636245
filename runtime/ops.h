// The differentiable operations that models are written in. The only place that picks a backend: each op calls the kernels of
// the device and, while the tape records, leaves a closure with their backward counterparts.
//
// A tensor is [rows, width] fp32 unless said otherwise; rows of several sequences follow each other (sequence-major). Parameter
// gradients accumulate. All of these throw std::logic_error only, for shapes that do not fit.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/categorical.h"
#include "kernels/philox.h"
#include "kernels/pixel_sampler.h"
#include "runtime/parameters.h"
#include "runtime/tape.h"

// Which numbers a dropout draws: a key for (seed, name), the step, and the path of each sequence (int64 [sequences]).
struct DropoutRule {
    float probability = 0;
    PhiloxKey key;
    std::uint32_t step = 0;
    NodeId paths = -1;
};

// y [rows, N] = x [rows, K] W^T + b; W [N, K], b [N] or null.
Tensor linear(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter* bias);
// [x W1^T, x W2^T] side by side in one product; the two weights [N, K] must lie next to each other (Parameters::add).
Tensor linear_pair(Tape& tape, const Tensor& x, const Parameter& first, const Parameter& second);
// gelu(x W^T + b), exact.
Tensor linear_gelu(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter& bias);

// For sampling, where few rows meet the same weights again and again: a linear layer's weights packed (kernels/packed_linear.h), N outputs
// starting at `weight` (and going on in adjacent parameters), and the layer with them. Not recorded.
Tensor pack_linear(Tape& tape, const Parameter& weight, const Parameter* bias, std::int64_t N);
Tensor packed_linear(Tape& tape, const Tensor& x, const Tensor& packed, std::int64_t N);

Tensor layernorm(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter& bias, float epsilon);
Tensor rmsnorm(Tape& tape, const Tensor& x, const Parameter& weight, float epsilon);
// silu(a) * b for rows that hold a then b: [rows, 2 H] -> [rows, H].
Tensor gated_silu(Tape& tape, const Tensor& gate_up);
// x + dropout(branch); the rule's sequences have rows / sequences tokens each.
Tensor residual(Tape& tape, const Tensor& x, const Tensor& branch, const DropoutRule& dropout);

// Cosines and sines of the 2-D rotary embedding for the condition token and a grid of grid x grid tokens: two tables
// [1 + grid^2, head_dim / 2].
struct RotaryTable {
    RotaryTable(Device device, std::int64_t grid, std::int64_t head_dim);
    const float* cosine() const { return reinterpret_cast<const float*>(memory_.data()); }
    const float* sine() const { return cosine() + rows_ * half_; }

   private:
    std::int64_t rows_, half_;
    Memory memory_;
};
// Rotates q and k of qkv [sequences * length, 3 D] in place; the first token has table row `first_position`.
void rotary(Tape& tape, const Tensor& qkv, const RotaryTable& table, std::int64_t length, std::int64_t heads,
            std::int64_t first_position);
// softmax(q k^T / sqrt(head_dim)) v per sequence and head: qkv [sequences * length, 3 D] -> [sequences * length, D].
Tensor attention(Tape& tape, const Tensor& qkv, std::int64_t length, std::int64_t heads, bool causal,
                 const DropoutRule& dropout);
// The same for one new token per sequence (qkv [sequences, 3 D]) at `position`, whose k and v join the caches
// [sequences, capacity * D] first. Not recorded.
Tensor attention_decode(Tape& tape, const Tensor& qkv, const Tensor& key_cache, const Tensor& value_cache,
                        std::int64_t heads, std::int64_t position, std::int64_t capacity);

// Rows of a table [vocabulary, D] by `ids` int32 [rows, 1]; the table starts with `table` and may go on in adjacent parameters.
Tensor embedding(Tape& tape, const Tensor& ids, const Parameter& table, std::int64_t vocabulary);
// All tokens of each sequence of `length` but the last: [M * length, W] -> [M * (length - 1), W]. Not differentiable.
Tensor drop_last_token(Tape& tape, const Tensor& x, std::int64_t length);
// [condition, tokens...] + positions: condition [M, D] and tokens [M * (length - 1), D] -> [M * length, D].
Tensor level_sequence(Tape& tape, const Tensor& condition, const Tensor& tokens, const Parameter& positions,
                      std::int64_t length);
// x [M, D] + positions[t].
Tensor add_position(Tape& tape, const Tensor& x, const Parameter& positions, std::int64_t t);
// [condition, codebook_0[v_0], codebook_1[v_1], ...] for pixels with values int32 [N, C]: condition [N, W] -> [N * C, W]; the last
// channel's value is no input to any output and is left out.
Tensor pixel_sequence(Tape& tape, const Tensor& condition, const Tensor& values, std::span<const Parameter* const> codebooks);

// Logits of one channel, x[:, channel] . codebook^T + bias, for x [N * C, W]: [N, 256]. Not recorded.
Tensor channel_logits(Tape& tape, const Tensor& x, std::int64_t channels, std::int64_t channel, const Parameter& codebook,
                      const Parameter& bias);
// Uniform numbers [C, rows] for the first `rows` of `paths`.
Tensor uniforms_by_path(Tape& tape, const Tensor& paths, std::int64_t rows, std::int64_t channels, PhiloxKey key);
// The pixel level's weights as its sampler wants them, for one sampling job: see kernels/pixel_sampler.h.
Tensor pack_pixel_sampler(Tape& tape, const PixelSamplerWeights& weights, const PixelSamplerShape& shape);
// Draws pixels for `condition` [R, condition width]: values int32 [R, C]. R is the number of `uniforms`' columns, or twice that with
// guidance, the unconditional rows last. `margins` [C, R] receives each uniform's distance to the nearer edge of its value's interval.
Tensor sample_pixels(Tape& tape, const Tensor& condition, const Tensor& uniforms, const Tensor& packed,
                     const PixelSamplerShape& shape, const Guidance& guidance, const Tensor& margins);
// Cross-entropy of all channels of x [N * C, W] against values int32 [N, C], tied codebooks. Adds the sum over pixels of
// channel c to totals[c] (double [1, C]). While recording, the gradient of sum_c scales[c] * (that sum) is left in x and in the
// parameters at once: the logits of a channel exist once, and only within this call.
void pixel_cross_entropy(Tape& tape, const Tensor& x, const Tensor& values, std::span<const Parameter* const> codebooks,
                         std::span<const Parameter* const> biases, std::span<const float> scales, const Tensor& totals);

// bytes uint8 [M, C * plane] -> (x / 255 - mean) / deviation. Not differentiable, as all below.
Tensor normalize_pixels(Tape& tape, const Tensor& bytes, std::span<const float> mean, std::span<const float> deviation);
// Normalised values [N, C] -> integers int32 [N, C], nearest, halves to even.
Tensor pixel_values(Tape& tape, const Tensor& normalized, std::span<const float> mean, std::span<const float> deviation);
// The inverse.
Tensor normalize_values(Tape& tape, const Tensor& values, std::span<const float> mean, std::span<const float> deviation);
// images [M, C * size^2] -> patches [M * L, C * patch^2] in raster order.
Tensor patchify(Tape& tape, const Tensor& images, std::int64_t channels, std::int64_t size, std::int64_t patch);
// Writes patch t [M, C * patch^2] into images [M, C * size^2].
void unpatchify_one(Tape& tape, const Tensor& images, const Tensor& patches, std::int64_t t, std::int64_t channels,
                    std::int64_t size, std::int64_t patch);
// Paths int64 of all patches, [M, 1] -> [M * L, 1], or of patch t alone, [M, 1] -> [M, 1].
Tensor child_paths(Tape& tape, const Tensor& paths, std::int64_t L);
Tensor child_paths_at(Tape& tape, const Tensor& paths, std::int64_t t, std::int64_t L);

void copy_tensor(Tape& tape, const Tensor& destination, const Tensor& source);
void copy_to_tensor(Tape& tape, const Tensor& destination, const void* host, std::size_t bytes);
void copy_from_tensor(Tape& tape, void* host, const Tensor& source, std::size_t bytes);
void zero_tensor(Tape& tape, const Tensor& tensor);
