#include "data/fractals/fractal_scene.h"

#include <cmath>

namespace {

// Five shades of a palette, from its darkest (0) to its lightest (4), in the order in which a gradient passes
// them.
constexpr std::array<std::array<std::size_t, 5>, 6> shades_of_use = {{
    {0, 1, 2, 3, 4},
    {1, 2, 2, 2, 3},
    {2, 2, 2, 3, 3},
    {1, 2, 2, 2, 3},
    {2, 3, 1, 3, 2},
    {2, 4, 3, 2, 0},
}};
constexpr std::array<std::size_t, 5> shades_of_basins = {2, 4, 1, 3, 0};

Stops shades(const NamedPalette& palette, const std::array<std::size_t, 5>& order) {
    Stops stops{};
    for (std::size_t i = 0; i < stops.size(); ++i) stops[i] = palette.shades[order[i]];
    return stops;
}

// Where on a gradient most of the picture is.
struct SeenRange {
    float first, last;
};
constexpr std::array<SeenRange, 6> seen_ranges = {
    {{0.0f, 1.0f}, {0.1f, 0.9f}, {0.1f, 0.9f}, {0.05f, 0.45f}, {0.0f, 1.0f}, {0.4f, 0.9f}}};

std::uint32_t displayed(Colour colour) {
    const auto byte = [](float light) {
        return static_cast<std::uint32_t>(std::clamp(255.0f * std::sqrt(light) + 0.5f, 0.0f, 255.0f));
    };
    return byte(colour.r) << 16 | byte(colour.g) << 8 | byte(colour.b);
}

}  // namespace

Gradient FractalScene::foreground(PictureRandom& random, std::span<const Stops> family, GradientUse use) {
    const Gradient own = draw_gradient(random, family);
    palette_name.clear();
    const auto number = static_cast<std::size_t>(use);
    if (palette_ != nullptr) {
        palette_name = palette_->name;
        return Gradient(shades(*palette_, shades_of_use[number]));
    }
    if (use == GradientUse::field) return own;
    constexpr int samples = 24;
    std::array<std::uint32_t, samples> seen{};
    const SeenRange range = seen_ranges[number];
    for (int i = 0; i < samples; ++i)
        seen[static_cast<std::size_t>(i)] =
            displayed(own.at(range.first + (range.last - range.first) * static_cast<float>(i) /
                                               static_cast<float>(samples - 1)));
    palette_name = palette_words(seen);
    return own;
}

Gradient FractalScene::background(PictureRandom& random, std::span<const Stops> family, bool is_thin) {
    const Gradient own = draw_gradient(random, family);
    const Stops* plain = is_thin ? plain_backgrounds().data() : background_;
    const Gradient used = background_ != nullptr ? Gradient(*plain) : own;
    background_name = background_words(displayed(used.at(0.5f)));
    return used;
}

Stops FractalScene::basins(const Stops& own) {
    if (palette_ != nullptr) {
        palette_name = palette_->name;
        return shades(*palette_, shades_of_basins);
    }
    palette_name = "many-coloured";
    return own;
}
