#include "models/nat/pictures.h"

#include <algorithm>
#include <cmath>

#include "runtime/ops/ops.h"
#include "runtime/tensor/require_memory.h"

namespace {

constexpr std::int64_t pixels_at_once = std::int64_t{1} << 18;

float clamped(float pixel) {
    return pixel > 0 ? std::min(pixel, 1.0f) : 0.0f;  // 0 for NaN
}

// As a picture's element holds it.
void store(std::uint8_t& element, float pixel) {
    element = pixel_byte(pixel);
}
void store(float& element, float pixel) {
    element = clamped(pixel) * 255.0f;
}

// Pixels [P, C] of one picture in [0, 1] as planes [C, P].
template <class Value>
void to_planes(Value* planes, const float* pixels, std::int64_t P, std::int64_t C) {
    for (std::int64_t i = 0; i < P; ++i)
        for (std::int64_t c = 0; c < C; ++c) store(planes[c * P + i], pixels[i * C + c]);
}

template <class Value>
std::function<void(Tape&, const Tensor&)> decode_into_planes(const Tokenizer& tokenizer, std::int64_t side,
                                                             std::vector<Value>& planes) {
    return [&tokenizer, side, &planes](Tape& tape, const Tensor& tokens) {
        const std::int64_t f = tokenizer.config().downsampling(), P = f * side * f * side,
                           C = tokenizer.config().out_ch;
        if (!tape.planning()) planes.resize(static_cast<std::size_t>(tokens.rows() / (side * side) * P * C));
        decode_pictures(tape, tokenizer, tokens, side, [&](std::int64_t first, const Tensor& pictures) {
            if (tape.planning()) return;
            std::vector<float> pixels(static_cast<std::size_t>(pictures.rows() * C));
            copy_from_tensor(tape, pixels.data(), pictures, pixels.size() * sizeof(float));
            for (std::int64_t image = 0; image < pictures.rows() / P; ++image)
                to_planes(planes.data() + (first + image) * P * C, pixels.data() + image * P * C, P, C);
        });
    };
}

}  // namespace

std::uint8_t pixel_byte(float pixel) {
    return static_cast<std::uint8_t>(std::lround(clamped(pixel) * 255.0f));
}

void decode_pictures(Tape& tape, const Tokenizer& tokenizer, const Tensor& tokens, std::int64_t side,
                     const PictureReceiver& receive) {
    const std::int64_t f = tokenizer.config().downsampling(), N = side * side, images = tokens.rows() / N,
                       chunk = std::max<std::int64_t>(1, pixels_at_once / (f * side * f * side));
    tape.arena().loop((images + chunk - 1) / chunk, [&](std::int64_t i) {
        const std::int64_t first = i * chunk, count = std::min(chunk, images - first);
        const Tensor part = tape.slice(tokens, first * N, count * N);
        receive(first, to_f32(tape, tokenizer.decode(tape, tokenizer.entries(tape, part), {side, side})));
    });
}

std::function<void(Tape&, const Tensor&)> decode_into(const Tokenizer& tokenizer, std::int64_t side,
                                                      std::vector<std::uint8_t>& bytes) {
    return decode_into_planes(tokenizer, side, bytes);
}

std::function<void(Tape&, const Tensor&)> decode_into(const Tokenizer& tokenizer, std::int64_t side,
                                                      std::vector<float>& values) {
    return decode_into_planes(tokenizer, side, values);
}

std::vector<std::uint8_t> decoded_bytes(const Tokenizer& tokenizer, std::span<const std::int32_t> tokens,
                                        std::int64_t side) {
    std::vector<std::uint8_t> bytes;
    const auto decode = decode_into(tokenizer, side, bytes);
    Tape tape(tokenizer.backend());
    const auto job = [&] {
        const Tensor on_device =
            tape.create(static_cast<std::int64_t>(tokens.size()), 1, false, Element::i32);
        copy_to_tensor(tape, on_device, tokens.data(), tokens.size_bytes());
        decode(tape, on_device);
    };
    const Plan plan = plan_job(tape, job);
    require_memory(tape, plan, "decoding tokens", "draw fewer at once (--batch)");
    run_job(tape, plan, job);
    return bytes;
}
