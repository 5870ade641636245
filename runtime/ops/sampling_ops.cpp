#include "runtime/ops/sampling_ops.h"

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

Tensor uniforms_by_sequence(Tape& tape, const Tensor& sequence_ids, std::int64_t rows, std::int64_t channels,
                            PhiloxKey key) {
    const Tensor y = tape.create(channels, rows, false);
    for (std::int64_t c = 0; c < channels; ++c)
        LAUNCH(tape, uniform_by_sequence, tape.mutable_value(y) + c * rows,
               tape.value<std::int64_t>(sequence_ids), rows, static_cast<std::uint32_t>(c), key);
    return y;
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

Tensor sample_pixels(Tape& tape, const Tensor& condition, const Tensor& uniforms, const Tensor& packed,
                     const PixelSamplerShape& shape, Guidance guidance, const Tensor& scale,
                     const Tensor& margins, const Tensor& limits) {
    if (!tape.planning()) guidance.current_scale = tape.value(scale);
    const Tensor values = tape.create(condition.rows(), shape.channels, false, Element::i32);
    LAUNCH(tape, pixel_sample, tape.mutable_value<std::int32_t>(values), tape.mutable_value(margins),
           tape.data(condition), tape.value(uniforms), tape.data(packed), shape, uniforms.width(), guidance,
           limits ? tape.value<std::uint8_t>(limits) : nullptr);
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
