// Colours in linear light and the gradients that the pictures are coloured with.
#pragma once

#include "data/fractals/no_contraction.h"

#include <array>
#include <cstdint>

// Linear light, each channel in [0, 1]. The display curve is taken as a square (a byte v is (v / 255)^2),
// which is close to sRGB and needs no power function.
struct Colour {
    float r = 0, g = 0, b = 0;
};

inline Colour operator+(Colour a, Colour b) {
    return {a.r + b.r, a.g + b.g, a.b + b.b};
}
inline Colour operator*(float s, Colour a) {
    return {s * a.r, s * a.g, s * a.b};
}

// a at weight 0, b at weight 1.
inline Colour mix(Colour a, Colour b, float weight) {
    return (1.0f - weight) * a + weight * b;
}

// Five colours 0xRRGGBB, evenly spaced along the gradient.
using Stops = std::array<std::uint32_t, 5>;

// A table of colours between evenly spaced stops, interpolated as displayed so that the steps look even.
class Gradient {
  public:
    explicit Gradient(const Stops& stops) : Gradient(stops, stops, 0.0f) {}

    // Every stop lies between those of a (weight 0) and b (weight 1).
    Gradient(const Stops& a, const Stops& b, float weight);

    // The colour at position in [0, 1]; positions outside give the end colours.
    Colour at(float position) const {
        const float scaled = position * (entries - 1) + 0.5f;
        const int entry = scaled > 0.0f ? static_cast<int>(scaled < entries ? scaled : entries - 1) : 0;
        return table_[static_cast<std::size_t>(entry)];
    }

  private:
    static constexpr int entries = 512;
    std::array<Colour, entries> table_;
};
