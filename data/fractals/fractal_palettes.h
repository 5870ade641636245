// Colours in words, and the palettes in which every class of fractals can be drawn.
#pragma once

#include "data/fractals/no_contraction.h"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "data/fractals/fractal_colour.h"

// Of a colour 0xRRGGBB as it is displayed: black, grey, white, cream, red, orange, yellow, green, teal, blue,
// purple, pink or brown.
std::string_view colour_name(std::uint32_t colour);

// The same of a background: "dark" before the name of what is dark but not black.
std::string background_words(std::uint32_t colour);

// Of several colours that are seen together, equally much of each: the name of most of them, or two names
// with "and" if the second one is that of a third.
std::string palette_words(std::span<const std::uint32_t> colours);

// Shades of one colour from very dark to very light, of which the middle one is the colour itself.
struct NamedPalette {
    std::string_view name;
    Stops shades;
};

constexpr int named_palettes = 10;
// Named by colour_name() of their middle shades.
const std::array<NamedPalette, named_palettes>& fractal_palettes();

// Backgrounds for shapes in these palettes: a black and a white one.
const std::array<Stops, 2>& plain_backgrounds();
