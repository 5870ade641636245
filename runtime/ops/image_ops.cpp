#include "runtime/ops/image_ops.h"

#include "kernels/layout/codes.h"
#include "kernels/layout/patchify.h"
#include "kernels/layout/pixels.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/tape_launch.h"

Tensor normalize_pixels(Tape& tape, const Tensor& bytes, std::span<const float> mean,
                        std::span<const float> deviation) {
    const auto C = static_cast<std::int64_t>(mean.size());
    const Tensor y = tape.create(bytes.rows(), bytes.width(), false);
    LAUNCH(tape, normalize_pixels, tape.mutable_value(y), tape.value<std::uint8_t>(bytes), mean.data(),
           deviation.data(), bytes.rows(), C, bytes.width() / C);
    return y;
}

Tensor pixel_values(Tape& tape, const Tensor& normalized, std::span<const float> mean,
                    std::span<const float> deviation) {
    const Tensor y = tape.create(normalized.rows(), normalized.width(), false, Element::i32);
    LAUNCH(tape, pixel_values, tape.mutable_value<std::int32_t>(y), tape.value(normalized), mean.data(),
           deviation.data(), normalized.rows(), normalized.width());
    return y;
}

Tensor normalize_values(Tape& tape, const Tensor& values, std::span<const float> mean,
                        std::span<const float> deviation) {
    const Tensor y = tape.create(values.rows(), values.width(), false);
    LAUNCH(tape, normalize_values, tape.mutable_value(y), tape.value<std::int32_t>(values), mean.data(),
           deviation.data(), nullptr, values.rows(), values.width());
    return y;
}

void scatter_normalized_values(Tape& tape, const NormalizedRows& into, const Tensor& values) {
    require(into.y.width() == values.width() && into.rows.rows() == values.rows(),
            "scatter_normalized_values: y, values and rows do not fit");
    LAUNCH(tape, normalize_values, tape.mutable_value(into.y), tape.value<std::int32_t>(values),
           into.mean.data(), into.deviation.data(), tape.value<std::int32_t>(into.rows), values.rows(),
           values.width());
}

Tensor codes_to_float(Tape& tape, const Tensor& codes) {
    const Tensor y = tape.create(codes.rows(), codes.width(), false);
    LAUNCH(tape, codes_to_float, tape.mutable_value(y), tape.value<std::int32_t>(codes),
           codes.rows() * codes.width());
    return y;
}

Tensor float_to_codes(Tape& tape, const Tensor& x) {
    const Tensor y = tape.create(x.rows(), x.width(), false, Element::i32);
    LAUNCH(tape, float_to_codes, tape.mutable_value<std::int32_t>(y), tape.value(x), x.rows() * x.width());
    return y;
}

Tensor bilinear_resize(Tape& tape, const Tensor& pictures, MapSize size, MapSize out, PixelCentres centres,
                       float factor, float offset) {
    const std::int64_t C = pictures.width() / (size.height * size.width);
    require(size.height > 0 && size.width > 0 && pictures.width() == C * size.height * size.width,
            "bilinear_resize: the pictures are not of this size");
    const BilinearShape shape{pictures.rows(), C,       size.height, size.width, out.height,
                              out.width,       centres, factor,      offset};
    const Tensor y = tape.create(shape.B * out.height * out.width, C, false, tape.activation());
    if (tape.element(pictures.node()) == Element::u8)
        LAUNCH(tape, bilinear_resize, tape.mutable_data(y), tape.value<std::uint8_t>(pictures), shape);
    else
        LAUNCH(tape, bilinear_resize, tape.mutable_data(y), tape.value(pictures), shape);
    return y;
}

Tensor mean_pixels(Tape& tape, const Tensor& images, std::int64_t channels, std::int64_t size) {
    const Tensor y = tape.create(images.rows(), channels, false);
    LAUNCH(tape, mean_pixels, tape.mutable_value(y), tape.value(images), images.rows(), channels, size);
    return y;
}

Tensor patchify(Tape& tape, const Tensor& images, std::int64_t channels, std::int64_t size,
                std::int64_t patch) {
    const std::int64_t L = (size / patch) * (size / patch);
    const Tensor y = tape.create(images.rows() * L, channels * patch * patch, false);
    LAUNCH(tape, patchify, tape.mutable_value(y), tape.value(images), images.rows(), channels, size, patch);
    return y;
}

Tensor unpatchify(Tape& tape, const Tensor& patches, std::int64_t channels, std::int64_t size,
                  std::int64_t patch) {
    const std::int64_t L = (size / patch) * (size / patch), M = patches.rows() / L;
    const Tensor y = tape.create(M, channels * size * size, false);
    LAUNCH(tape, unpatchify, tape.mutable_value(y), tape.value(patches), M, channels, size, patch);
    return y;
}
