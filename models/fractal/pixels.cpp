#include "models/fractal/pixels.h"

#include <algorithm>
#include <cmath>

std::vector<float> normalized_picture(const FractalConfig& config, std::span<const std::uint8_t> bytes) {
    const auto plane = static_cast<std::size_t>(config.image_size() * config.image_size());
    std::vector<float> normalized(bytes.size());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const std::size_t c = i / plane % static_cast<std::size_t>(config.channels);
        normalized[i] =
            (static_cast<float>(bytes[i]) / 255.0f - config.pixel_mean()[c]) / config.pixel_deviation()[c];
    }
    return normalized;
}

void to_bytes(const FractalConfig& config, std::span<const float> normalized, std::uint8_t* bytes) {
    const auto plane = static_cast<std::size_t>(config.image_size() * config.image_size());
    for (std::size_t i = 0; i < normalized.size(); ++i) {
        const std::size_t c = i / plane % static_cast<std::size_t>(config.channels);
        const float unit = normalized[i] * config.pixel_deviation()[c] + config.pixel_mean()[c];
        bytes[i] = static_cast<std::uint8_t>(std::clamp(std::lround(unit * 255.0f), 0L, 255L));
    }
}
