#include "data/fractals/fractal_canvas.h"

#include <cmath>

PictureRandom::PictureRandom(std::uint64_t seed, std::uint64_t index, int class_index, int attempt)
    : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
      counter_{0, static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
               static_cast<std::uint32_t>(class_index) | static_cast<std::uint32_t>(attempt) << 16} {}

float PictureRandom::unit() {
    if (used_ == 4) {
        words_ = philox(counter_, key_);
        ++counter_.c0;
        used_ = 0;
    }
    return unit_float(words_[static_cast<std::size_t>(used_++)]);
}

Gradient draw_gradient(PictureRandom& random, std::span<const Stops> family) {
    const std::size_t first = static_cast<std::size_t>(random.below(static_cast<int>(family.size())));
    const std::size_t second = (first + 1) % family.size();
    return Gradient(family[first], family[second], random.unit());
}

// The angle is folded into a quarter turn to either side of 0, where the Taylor polynomial of degree 11 is
// exact to 6e-8, in double precision so that the folding loses nothing.
static float sine_of_turns(double turns) {
    double folded = turns - std::floor(turns + 0.5);
    if (folded > 0.25) folded = 0.5 - folded;
    if (folded < -0.25) folded = -0.5 - folded;
    const double x = folded * 6.283185307179586, square = x * x;
    double sum = -1.0 / 39916800;
    sum = sum * square + 1.0 / 362880;
    sum = sum * square - 1.0 / 5040;
    sum = sum * square + 1.0 / 120;
    sum = sum * square - 1.0 / 6;
    return static_cast<float>(x + x * square * sum);
}

Point unit_vector(float turns) {
    const double angle = turns;
    return {sine_of_turns(angle + 0.25), sine_of_turns(angle)};
}

Canvas::Canvas(int size)
    : size_(size), grid_(size * samples_per_side), samples_(static_cast<std::size_t>(grid_) * grid_) {}

void Canvas::fill_gradient(const Gradient& gradient, Point direction) {
    // The corners of the canvas reach |x| + |y| along the direction.
    const float scale = 0.5f / (std::fabs(direction.x) + std::fabs(direction.y));
    visit_all(
        [&](Point p, Colour& sample) { sample = gradient.at(0.5f + scale * inner_product(p, direction)); });
}

void Canvas::stroke(Point a, Point b, float radius_a, float radius_b, Colour colour) {
    const float least = 0.6f * sample_width();
    radius_a = std::max(radius_a, least);
    radius_b = std::max(radius_b, least);
    const Point along = b - a;
    const float length_squared = inner_product(along, along) + 1e-12f;
    const float reach =
        std::max(radius_a, radius_b) + 0.5f * std::max(std::fabs(along.x), std::fabs(along.y));
    visit_square(0.5f * (a + b), reach, [&](Point p, Colour& sample) {
        const float t = std::clamp(inner_product(p - a, along) / length_squared, 0.0f, 1.0f);
        const Point away = p - a - t * along;
        const float radius = radius_a + t * (radius_b - radius_a);
        if (inner_product(away, away) <= radius * radius) sample = colour;
    });
}

void Canvas::dot(Point point, Colour colour) {
    const float half = 0.5f * static_cast<float>(grid_), side = static_cast<float>(grid_);
    const float column = (point.x + 1.0f) * half, line = (1.0f - point.y) * half;
    if (column >= 0.0f && column < side && line >= 0.0f && line < side)
        row(static_cast<int>(line))[static_cast<int>(column)] = colour;
}

void Canvas::resolve(std::uint8_t* pixels) const {
    constexpr float share = 1.0f / (samples_per_side * samples_per_side);
    const auto to_byte = [](float light) {
        return static_cast<std::uint8_t>(std::clamp(255.0f * std::sqrt(light) + 0.5f, 0.0f, 255.0f));
    };
    const std::size_t plane = static_cast<std::size_t>(size_) * size_;
    for (int y = 0; y < size_; ++y) {
        for (int x = 0; x < size_; ++x) {
            Colour sum;
            for (int i = 0; i < samples_per_side; ++i) {
                const Colour* const samples = samples_.data() +
                                              static_cast<std::size_t>(y * samples_per_side + i) * grid_ +
                                              x * samples_per_side;
                for (int j = 0; j < samples_per_side; ++j) sum = sum + samples[j];
            }
            std::uint8_t* const pixel = pixels + static_cast<std::size_t>(y) * size_ + x;
            pixel[0] = to_byte(share * sum.r);
            pixel[plane] = to_byte(share * sum.g);
            pixel[2 * plane] = to_byte(share * sum.b);
        }
    }
}
