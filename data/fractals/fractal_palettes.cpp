#include "data/fractals/fractal_palettes.h"

#include <fmt/format.h>

#include <algorithm>

namespace {

struct Channels {
    explicit Channels(std::uint32_t colour)
        : r(static_cast<int>(colour >> 16 & 0xFF)),
          g(static_cast<int>(colour >> 8 & 0xFF)),
          b(static_cast<int>(colour & 0xFF)),
          most(std::max({r, g, b})),
          least(std::min({r, g, b})),
          chroma(most - least) {}
    int r, g, b, most, least, chroma;

    // Position on the wheel of six pure colours, in degrees; chroma > 0.
    int hue() const {
        if (most == r) return (60 * (g - b) / chroma + 360) % 360;
        return most == g ? 120 + 60 * (b - r) / chroma : 240 + 60 * (r - g) / chroma;
    }
};

constexpr int darkest_hue = 52;  // of the strongest channel: what is darker is black

}  // namespace

std::string_view colour_name(std::uint32_t colour) {
    const Channels c(colour);
    if (c.most < darkest_hue) return "black";
    if (c.least > 200 && c.chroma < 60) return c.r - c.b > 14 ? "cream" : "white";
    if (c.chroma * 100 < c.most * 18) return c.most > 205 ? "white" : "grey";
    const int hue = c.hue();
    const bool is_pale = c.least > 120, is_dark = c.most < 150, is_dull = c.chroma * 100 < c.most * 60;
    if (hue < 14 || hue >= 345) return is_pale ? "pink" : "red";
    if (hue < 38) return is_dark || (c.most < 190 && is_dull) ? "brown" : "orange";
    if (hue < 66) return is_dark && is_dull ? "brown" : "yellow";
    if (hue < 168) return "green";
    if (hue < 193) return "teal";
    if (hue < 252) return "blue";
    if (hue < 308) return "purple";
    return is_dark ? "purple" : "pink";
}

std::string background_words(std::uint32_t colour) {
    const Channels c(colour);
    constexpr int darkest_background = 38, darkest_plain = 100;
    if (c.most >= darkest_plain) return std::string(colour_name(colour));
    if (c.most < darkest_background || c.chroma * 100 < c.most * 30) return "black";
    // The name of the same hue, lighter. Dark teal is green to the eye, up to the middle of its range.
    const int hue = c.hue();
    if (hue >= 168 && hue < 178) return "dark green";
    const auto lighter = [&](int value) { return static_cast<std::uint32_t>(value * 160 / c.most); };
    return "dark " + std::string(colour_name(lighter(c.r) << 16 | lighter(c.g) << 8 | lighter(c.b)));
}

std::string palette_words(std::span<const std::uint32_t> colours) {
    // In the order in which two of them are named.
    constexpr std::array<std::string_view, 13> order = {"white",  "cream",  "grey", "black",  "red",
                                                        "orange", "yellow", "pink", "purple", "blue",
                                                        "teal",   "green",  "brown"};
    std::array<std::size_t, order.size()> counts{};
    for (const std::uint32_t colour : colours)
        ++counts[static_cast<std::size_t>(std::ranges::find(order, colour_name(colour)) - order.begin())];
    const auto first = static_cast<std::size_t>(std::ranges::max_element(counts) - counts.begin());
    std::array<std::size_t, order.size()> others = counts;
    others[first] = 0;
    const auto second = static_cast<std::size_t>(std::ranges::max_element(others) - others.begin());
    if (3 * others[second] < colours.size()) return std::string(order[first]);
    return fmt::format("{} and {}", order[std::min(first, second)], order[std::max(first, second)]);
}

const std::array<NamedPalette, named_palettes>& fractal_palettes() {
    static constexpr std::array<NamedPalette, named_palettes> palettes = {{
        {"red", {0x2e0408, 0x86101a, 0xd0212b, 0xee5f58, 0xffc8c0}},
        {"orange", {0x331400, 0x9a4206, 0xee7a12, 0xfaa64c, 0xffe0b8}},
        {"yellow", {0x332a00, 0x9c8006, 0xf0cc14, 0xf8e058, 0xfff6c0}},
        {"green", {0x06240a, 0x146424, 0x2ea043, 0x72c678, 0xd0f0d0}},
        {"teal", {0x022626, 0x06645f, 0x10a39b, 0x5accc4, 0xc4f2ee}},
        {"blue", {0x050f38, 0x123290, 0x2460dc, 0x6c9cf2, 0xcce0ff}},
        {"purple", {0x1c0636, 0x4c1a8a, 0x7e34c8, 0xae78e2, 0xe4d0fa}},
        {"pink", {0x380620, 0x9a1c60, 0xe84a9c, 0xf48cc2, 0xffd6ea}},
        {"brown", {0x1e1008, 0x4e2c16, 0x84502a, 0xb27f52, 0xe2cbb0}},
        {"grey", {0x141416, 0x4c4c50, 0x87878c, 0xa8a8ac, 0xc4c4c8}},
    }};
    return palettes;
}

const std::array<Stops, 2>& plain_backgrounds() {
    static constexpr std::array<Stops, 2> backgrounds = {{
        {0x08080a, 0x0c0c0f, 0x101014, 0x141419, 0x18181e},
        {0xf0f0f2, 0xf3f3f5, 0xf6f6f8, 0xf9f9fa, 0xfcfcfd},
    }};
    return backgrounds;
}
