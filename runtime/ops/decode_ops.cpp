#include "runtime/ops/decode_ops.h"

#include <stdexcept>

#include "kernels/sampling/remask.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/sampling_ops.h"
#include "runtime/ops/tape_launch.h"

namespace {

constexpr std::int64_t step_width = 5;
static_assert(sizeof(DecodingStep) == step_width * sizeof(float));

std::int64_t strategies_of(const Tensor& schedule) {
    return schedule.width() / step_width;
}

const DecodingStep* row_of(Tape& tape, const Tensor& schedule, std::int64_t step) {
    return reinterpret_cast<const DecodingStep*>(tape.value(schedule)) + step * strategies_of(schedule);
}

}  // namespace

Tensor decoding_schedule(Tape& tape, std::int64_t T, std::int64_t S, std::span<const DecodingStep> steps) {
    const Tensor schedule = tape.create(T, S * step_width, false);
    require(tape.planning() || static_cast<std::int64_t>(steps.size()) == T * S,
            "decoding_schedule: another number of steps");
    copy_to_tensor(tape, schedule, steps.data(), steps.size_bytes());
    return schedule;
}

TokenNoise token_noise(Tape& tape, const Tensor& numbers, const Tensor& key, std::int64_t N,
                       std::int64_t step) {
    const std::int64_t images = numbers.rows();
    TokenNoise noise{tape.create(images, N, false), tape.create(images, N, false)};
    LAUNCH(tape, token_noise, tape.mutable_value(noise.uniforms), tape.mutable_value(noise.gumbel),
           tape.value<std::int64_t>(numbers), key_address(tape, key), images, N,
           static_cast<std::uint32_t>(step));
    return noise;
}

TokenDraw create_token_draw(Tape& tape, std::int64_t images, std::int64_t N) {
    return {tape.create(images * N, 1, false, Element::i32), tape.create(images * N, 1, false, Element::i32),
            tape.create(images * N, 1, false)};
}

void draw_tokens(Tape& tape, const TokenDraw& draw, const Tensor& logits, const Tensor& ids,
                 const TokenNoise& noise, const Tensor& schedule, std::int64_t step, bool keep_guided) {
    const std::int64_t rows = draw.filled.rows(), K = logits.width();
    const bool guided = logits.rows() == 2 * rows;
    require((guided || logits.rows() == rows) && ids.rows() * ids.width() == logits.rows(),
            "draw_tokens: logits and ids are of different shapes");
    require(noise.uniforms.rows() * noise.uniforms.width() == rows, "draw_tokens: numbers of another shape");
    require(K <= cpu::token_draw_max_codes, "draw_tokens: too many codes");
    const std::int64_t strategies = strategies_of(schedule);
    require(noise.uniforms.rows() % strategies == 0, "draw_tokens: images that strategies cannot share");
    LAUNCH(tape, token_draw, tape.mutable_value<std::int32_t>(draw.filled),
           tape.mutable_value(draw.confidence), tape.mutable_value<std::int32_t>(draw.drawn),
           keep_guided ? tape.mutable_data(logits) : ElementPointer(), tape.data(logits),
           guided ? tape.data(logits) + rows * K : ElementPointer(), tape.value<std::int32_t>(ids),
           tape.value(noise.uniforms), tape.value(noise.gumbel), row_of(tape, schedule, step),
           rows / strategies, rows, K);
}

void remask_tokens(Tape& tape, const Tensor& ids, const TokenDraw& draw, const Tensor& ranks,
                   const Tensor& schedule, std::int64_t step, std::int64_t K) {
    const std::int64_t N = ids.width(), images = draw.filled.rows() / N;
    require(images * N == draw.filled.rows() && ids.rows() % images == 0,
            "remask_tokens: ids of another shape");
    require(ranks.rows() == N, "remask_tokens: another number of ranks");
    require(N <= cpu::remask_max_positions, "remask_tokens: too many positions");
    require(images % strategies_of(schedule) == 0, "remask_tokens: images that strategies cannot share");
    LAUNCH(tape, remask, tape.mutable_value<std::int32_t>(ids), tape.value<std::int32_t>(draw.filled),
           tape.value(draw.confidence), tape.value<std::int32_t>(ranks), row_of(tape, schedule, step),
           images / strategies_of(schedule), images, ids.rows() / images, N, K);
}
