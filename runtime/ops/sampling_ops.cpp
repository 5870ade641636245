#include "runtime/ops/sampling_ops.h"

#include <algorithm>

#include "kernels/attention/attention_decode.h"
#include "kernels/layout/sequence.h"
#include "kernels/linear/matmul.h"
#include "kernels/linear/matmul_bf16.h"
#include "kernels/linear/packed_linear.h"
#include "kernels/sampling/uniform.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/tape_launch.h"

PackedLinear pack_linear(Tape& tape, const Parameter& weight, const Parameter* bias, std::int64_t N) {
    PackedLinear layer{&weight, bias, N, {}};
    if (tape.operands() != tape.activation()) return layer;
    const std::int64_t K = weight.inner();
    layer.packed =
        tape.create(1, SIZE_ON(tape.device(), packed_linear_elements, N, K), false, tape.activation());
    LAUNCH(tape, pack_linear, tape.mutable_data(layer.packed), weight.value, bias ? bias->value : nullptr, N,
           K);
    return layer;
}

Tensor packed_linear(Tape& tape, const Tensor& input, const PackedLinear& layer) {
    const Tensor x = as_activation(tape, input);
    const std::int64_t N = layer.N, K = layer.weight->inner();
    require(x.width() == K, "packed_linear: x does not fit the packed weights");
    const Tensor y = tape.create(x.rows(), N, false, tape.activation());
    if (layer.packed)
        LAUNCH(tape, packed_linear_forward, tape.mutable_data(y), tape.data(x), tape.data(layer.packed),
               x.rows(), N, K);
    else
        LAUNCH(tape, linear_forward, tape.mutable_data(y), N, tape.data(x), K, tape.weight(*layer.weight, N),
               tape.constant(layer.bias), x.rows(), N, K);
    return y;
}

Tensor attention_decode(Tape& tape, const Tensor& qkv, const Tensor& key_cache, const Tensor& value_cache,
                        std::int64_t heads, std::int64_t position, std::int64_t capacity) {
    const std::int64_t width = qkv.width() / 3;
    const Tensor y = tape.create(qkv.rows(), width, false, tape.activation());
    LAUNCH(tape, attention_decode, tape.mutable_data(y), tape.mutable_data(key_cache),
           tape.mutable_data(value_cache), tape.data(qkv), qkv.rows(), heads, width / heads, position,
           capacity);
    return y;
}

Tensor add_position(Tape& tape, const Tensor& x, const Parameter& positions, std::int64_t t) {
    const Tensor y = tape.create(x.rows(), x.width(), false);
    LAUNCH(tape, level_sequence_forward, tape.mutable_value(y), tape.data(x), ElementPointer(),
           positions.value + t * x.width(), x.rows(), 1, x.width());
    return y;
}

namespace {

// In device memory, a row of words each, which take_row copies bit by bit.
template <class T>
Tensor device_rows(Tape& tape, std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % sizeof(float) == 0);
    const Tensor rows =
        tape.create(static_cast<std::int64_t>(values.size()), sizeof(T) / sizeof(float), false);
    copy_to_tensor(tape, rows, values.data(), values.size_bytes());
    return rows;
}

Guidance guidance_by(Tape& tape, bool guided, const Tensor& settings) {
    Guidance guidance{.scale = guided ? 2.0f : 1.0f};
    if (!tape.planning()) guidance.current = reinterpret_cast<const Guidance*>(tape.value(settings));
    return guidance;
}

}  // namespace

Tensor device_keys(Tape& tape, std::span<const PhiloxKey> keys) {
    return device_rows(tape, keys);
}

const PhiloxKey* key_address(Tape& tape, const Tensor& key) {
    return reinterpret_cast<const PhiloxKey*>(tape.value(key));
}

Tensor device_settings(Tape& tape, std::span<const Guidance> settings) {
    return device_rows(tape, settings);
}

void uniforms_by_sequence(Tape& tape, Uniforms& uniforms) {
    const Tensor& y = uniforms.numbers;
    uniforms.given = true;
    LAUNCH(tape, uniform_by_sequence, tape.mutable_value(y), tape.value<std::int64_t>(uniforms.sequence_ids),
           y.width(), y.rows(), key_address(tape, uniforms.key));
}

Tensor sample_values(Tape& tape, const Tensor& logits, const Tensor& uniforms, bool guided,
                     const Tensor& settings, const Tensor& margins) {
    const std::int64_t draws = uniforms.width(), V = logits.width(), halves = guided ? 2 : 1;
    require(logits.rows() == halves * draws && V <= cpu::categorical_max_vocabulary,
            "sample_values: the logits do not fit the uniforms, or have too many values");
    const Tensor values = tape.create(halves * draws, 1, false, Element::i32);
    if (tape.planning()) return values;
    const Guidance guidance = guidance_by(tape, guided, settings);
    const float* conditional = tape.value(logits);
    std::int32_t* drawn = tape.mutable_value<std::int32_t>(values);
    LAUNCH(tape, categorical_sample, drawn, tape.mutable_value(margins), conditional,
           halves == 1 ? nullptr : conditional + draws * V, tape.value(uniforms), draws, V, guidance,
           nullptr);
    if (halves == 2)
        copy_within_device(tape.device(), drawn + draws, drawn,
                           static_cast<std::size_t>(draws) * sizeof(std::int32_t), tape.stream());
    return values;
}

bool pixel_sampler_fits(Device device, const PixelSamplerShape& shape) {
    return SIZE_ON(device, pixel_sampler_fits, shape);
}

Tensor pack_pixel_sampler(Tape& tape, const PixelSamplerWeights& weights, const PixelSamplerShape& shape) {
    const Tensor packed = tape.create(1, SIZE_ON(tape.device(), pixel_sampler_packed_elements, shape), false,
                                      tape.activation());
    LAUNCH(tape, pixel_sampler_pack, tape.mutable_data(packed), weights, shape);
    return packed;
}

Tensor sample_pixels(Tape& tape, const Tensor& condition, const Uniforms& uniforms, const Tensor& packed,
                     const PixelSamplerShape& shape, bool guided, const Tensor& settings,
                     const Tensor& margins, const Tensor& limits, const NormalizedRows& into) {
    const Guidance guidance = guidance_by(tape, guided, settings);
    const Tensor values = tape.create(condition.rows(), shape.channels, false, Element::i32);
    NormalizedPixels normalized;
    require(!into.y || (into.y.width() == shape.channels && into.rows.rows() == condition.rows()),
            "sample_pixels: the rows that the values go to do not fit");
    if (into.y && !tape.planning()) {
        normalized.y = tape.mutable_value(into.y);
        normalized.rows = tape.value<std::int32_t>(into.rows);
        std::ranges::copy(into.mean, normalized.mean);
        std::ranges::copy(into.deviation, normalized.deviation);
    }
    LAUNCH(tape, pixel_sample, tape.mutable_value<std::int32_t>(values), tape.mutable_value(margins),
           tape.data(condition), uniforms.given ? tape.value(uniforms.numbers) : nullptr, tape.data(packed),
           shape, uniforms.numbers.width(), guidance, limits ? tape.value<std::uint8_t>(limits) : nullptr,
           PixelCode(), tape.value<std::int64_t>(uniforms.sequence_ids), key_address(tape, uniforms.key),
           normalized);
    return values;
}

Tensor code_pixels(Tape& tape, const Tensor& condition, const Tensor& packed, const PixelSamplerShape& shape,
                   const Tensor& pixels, const PixelCodeTensors& tensors) {
    const std::int64_t rows = condition.rows();
    const Tensor values = tape.create(rows, shape.channels, false, Element::i32);
    if (tape.planning()) return values;
    PixelCode code;
    code.pixels = tape.value<std::int64_t>(pixels);
    code.picture_pixels = tensors.picture_pixels;
    if (tensors.decodes) {
        code.lanes = static_cast<CodeLane*>(tape.mutable_data(tensors.lanes).address);
        code.bytes = tape.value<std::uint8_t>(tensors.bytes);
    } else {
        code.given = tape.value<std::uint8_t>(tensors.given);
        code.intervals = static_cast<CodeInterval*>(tape.mutable_data(tensors.intervals).address);
    }
    LAUNCH(tape, pixel_sample, tape.mutable_value<std::int32_t>(values), nullptr, tape.data(condition),
           nullptr, tape.data(packed), shape, rows, Guidance(), nullptr, code);
    return values;
}
