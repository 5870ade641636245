// The steps of parallel decoding on the tape's device: see kernels/sampling/token_draw.h and
// kernels/sampling/remask.h. Every number that a step needs lies in device memory, so that recorded steps
// serve any strategy, seed and images. Not recorded.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/sampling/remask.h"
#include "kernels/sampling/token_draw.h"
#include "runtime/tensor/tape.h"

// The schedules of T steps of S strategies, whose images are drawn side by side: fp32 [T, 5 S]. `steps`, [T, S],
// is read unless planning. Each strategy has the same number of consecutive images.
Tensor decoding_schedule(Tape& tape, std::int64_t T, std::int64_t S, std::span<const DecodingStep> steps);

struct TokenNoise {
    Tensor uniforms, gumbel;  // fp32 [images, N]
};
// The random numbers of step `step` for the images with these numbers, int64 [images, 1]; `key`: a row of
// device_keys().
TokenNoise token_noise(Tape& tape, const Tensor& numbers, const Tensor& key, std::int64_t N,
                       std::int64_t step);

// Outputs of a decoding step. The same tensors serve all steps: the result is `filled` of the last step.
struct TokenDraw {
    Tensor filled, drawn;  // int32 [images * N, 1]; drawn: at every position, masked or not
    Tensor confidence;     // fp32 [images * N, 1]
};
TokenDraw create_token_draw(Tape& tape, std::int64_t images, std::int64_t N);
// Fills `draw` from logits [guidance_rows * images * N, K], the unconditional half last if there is one, for
// ids int32 [guidance_rows * images, N], K where masked. `keep_guided`: the conditional logits become the
// guided ones. Throws std::logic_error for shapes that do not fit, images that strategies cannot share
// equally, or more codes than token_draw_max_codes.
void draw_tokens(Tape& tape, const TokenDraw& draw, const Tensor& logits, const Tensor& ids,
                 const TokenNoise& noise, const Tensor& schedule, std::int64_t step,
                 bool keep_guided = false);

// Tokens of an image, at most.
inline constexpr std::int64_t max_decoded_tokens = cpu::remask_max_positions;
// The ids of the next step, in every half of `ids`. ranks: int32 [N, 1], of the fixed order, which the schedule
// may name. Throws std::logic_error for more tokens than max_decoded_tokens, or another number of ranks.
void remask_tokens(Tape& tape, const Tensor& ids, const TokenDraw& draw, const Tensor& ranks,
                   const Tensor& schedule, std::int64_t step, std::int64_t K);
