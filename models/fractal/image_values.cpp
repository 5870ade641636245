#include "models/fractal/image_values.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "runtime/ops/image_ops.h"
#include "runtime/ops/ops.h"

namespace {

template <class Value>
std::span<const Value> values_of_kind(const ImageValues& images) {
    const auto* values = std::get_if<std::span<const Value>>(&images);
    if (values == nullptr)
        throw std::logic_error("images: pixels for a model of codes, or codes for one of pixels");
    return *values;
}

void require_kind(const FractalConfig& config, bool codes) {
    if (config.of_codes() != codes)
        throw std::logic_error("images: bytes of a model of codes, or codes of one of pixels");
}

}  // namespace

std::vector<float> to_moved(const FractalConfig& config, const ImageValues& images) {
    if (config.of_codes()) {
        const auto codes = values_of_kind<std::int32_t>(images);
        return {codes.begin(), codes.end()};
    }
    const auto bytes = values_of_kind<std::uint8_t>(images);
    const auto plane = static_cast<std::size_t>(config.image_size() * config.image_size());
    std::vector<float> normalized(bytes.size());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const std::size_t c = i / plane % static_cast<std::size_t>(config.channels);
        normalized[i] =
            (static_cast<float>(bytes[i]) / 255.0f - config.pixel_mean()[c]) / config.pixel_deviation()[c];
    }
    return normalized;
}

std::vector<std::uint8_t> to_bytes(const FractalConfig& config, std::span<const float> moved) {
    require_kind(config, false);
    const auto plane = static_cast<std::size_t>(config.image_size() * config.image_size());
    std::vector<std::uint8_t> bytes(moved.size());
    for (std::size_t i = 0; i < moved.size(); ++i) {
        const std::size_t c = i / plane % static_cast<std::size_t>(config.channels);
        const float unit = moved[i] * config.pixel_deviation()[c] + config.pixel_mean()[c];
        bytes[i] = static_cast<std::uint8_t>(std::clamp(std::lround(unit * 255.0f), 0L, 255L));
    }
    return bytes;
}

std::vector<std::int32_t> to_codes(const FractalConfig& config, std::span<const float> moved) {
    require_kind(config, true);
    std::vector<std::int32_t> codes;
    for (const float code : moved) codes.push_back(static_cast<std::int32_t>(code));
    return codes;
}

Tensor device_images(Tape& tape, const FractalConfig& config, const ImageValues& images, std::int64_t count) {
    const std::int64_t dims = config.channels * config.image_size() * config.image_size();
    const Tensor stored = tape.create(count, dims, false, config.of_codes() ? Element::i32 : Element::u8);
    if (!tape.planning()) {
        if (config.of_codes()) {
            const auto codes = values_of_kind<std::int32_t>(images);
            copy_to_tensor(tape, stored, codes.data(), codes.size_bytes());
        } else {
            const auto bytes = values_of_kind<std::uint8_t>(images);
            copy_to_tensor(tape, stored, bytes.data(), bytes.size_bytes());
        }
    }
    if (config.of_codes()) return codes_to_float(tape, stored);
    return normalize_pixels(tape, stored, config.pixel_mean(), config.pixel_deviation());
}

Tensor image_values(Tape& tape, const FractalConfig& config, const Tensor& moved) {
    if (config.of_codes()) return float_to_codes(tape, moved);
    return pixel_values(tape, moved, config.pixel_mean(), config.pixel_deviation());
}

Tensor moved_values(Tape& tape, const FractalConfig& config, const Tensor& values) {
    if (config.of_codes()) return codes_to_float(tape, values);
    return normalize_values(tape, values, config.pixel_mean(), config.pixel_deviation());
}
