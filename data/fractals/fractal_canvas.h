// Common to all fractals: random parameters, rotations, and a supersampled canvas.
#pragma once

#include "data/fractals/no_contraction.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "data/fractals/fractal_colour.h"
#include "kernels/common/philox.h"

// The random numbers of one picture, in the order of its painter's calls.
class PictureRandom {
  public:
    PictureRandom(std::uint64_t seed, std::uint64_t index, int class_index, int attempt);

    float unit();  // in [0, 1)
    float between(float low, float high) { return low + (high - low) * unit(); }
    int below(int count) { return static_cast<int>(unit() * static_cast<float>(count)); }
    bool coin() { return unit() < 0.5f; }

  private:
    PhiloxKey key_;
    PhiloxCounter counter_;
    std::array<std::uint32_t, 4> words_{};
    int used_ = 4;
};

// A random mixture of two neighbours of a family of palettes: the members vary, the family stays.
Gradient draw_gradient(PictureRandom& random, std::span<const Stops> family);

// A position on the canvas, which spans [-1, 1] in both directions, y upwards.
struct Point {
    float x = 0, y = 0;
};

inline Point operator+(Point a, Point b) {
    return {a.x + b.x, a.y + b.y};
}
inline Point operator-(Point a, Point b) {
    return {a.x - b.x, a.y - b.y};
}
inline Point operator*(float s, Point a) {
    return {s * a.x, s * a.y};
}
inline float inner_product(Point a, Point b) {
    return a.x * b.x + a.y * b.y;
}
// Points as complex numbers: the product turns and scales.
inline Point complex_product(Point a, Point b) {
    return {a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x};
}
inline Point conjugate(Point a) {
    return {a.x, -a.y};
}

// (cos, sin) of an angle given in full turns, absolute error below 1e-7.
Point unit_vector(float turns);

// log2 of a positive normal number, absolute error below 2e-6, without branches, so that loops over it become
// vector code. The fraction m in [1, 2) goes through log2 m = 1/2 + 2 / ln 2 artanh((m - sqrt 2) / (m + sqrt
// 2)).
inline float fast_log2(float x) {
    const std::int32_t bits = std::bit_cast<std::int32_t>(x);
    const float exponent = static_cast<float>((bits >> 23) - 127);
    const float m = std::bit_cast<float>((bits & 0x7FFFFF) | 0x3F800000);
    const float t = (m - 1.41421356f) / (m + 1.41421356f), square = t * t;
    return exponent + 0.5f + t * (2.88539008f + square * (0.96179669f + square * 0.57707802f));
}

// Linear-light samples, samples_per_side^2 to a pixel, averaged into 8-bit pixels at the end.
class Canvas {
  public:
    static constexpr int samples_per_side = 4;

    explicit Canvas(int size);

    int grid() const { return grid_; }  // samples along a side
    float sample_width() const { return 2.0f / static_cast<float>(grid_); }
    float pixel_width() const { return sample_width() * samples_per_side; }
    float column_x(int column) const { return (static_cast<float>(column) + 0.5f) * sample_width() - 1.0f; }
    float row_y(int row) const { return 1.0f - (static_cast<float>(row) + 0.5f) * sample_width(); }
    Colour* row(int row) { return samples_.data() + static_cast<std::size_t>(row) * grid_; }

    // Calls visit(Point, Colour&) for every sample.
    template <class Visit>
    void visit_all(Visit visit);

    // Calls visit(Point, Colour&) for the samples within `reach` of `centre` along x and y.
    template <class Visit>
    void visit_square(Point centre, float reach, Visit visit);

    // A gradient along `direction` (a unit vector): its start lies behind the centre, its end ahead.
    void fill_gradient(const Gradient& gradient, Point direction);

    // A line from a to b with round ends, its half width going from radius_a to radius_b, at least a sample
    // wide.
    void stroke(Point a, Point b, float radius_a, float radius_b, Colour colour);

    // Colours the sample that contains the point, if any.
    void dot(Point point, Colour colour);

    // Writes pixels [3, size, size].
    void resolve(std::uint8_t* pixels) const;

  private:
    int size_, grid_;
    std::vector<Colour> samples_;
};

template <class Visit>
void Canvas::visit_all(Visit visit) {
    for (int i = 0; i < grid_; ++i) {
        Colour* const samples = row(i);
        const float y = row_y(i);
        for (int j = 0; j < grid_; ++j) visit(Point{column_x(j), y}, samples[j]);
    }
}

template <class Visit>
void Canvas::visit_square(Point centre, float reach, Visit visit) {
    const float half = 0.5f * static_cast<float>(grid_);
    const auto first = [&](float x) { return std::clamp(static_cast<int>((x + 1.0f) * half), 0, grid_); };
    const int left = first(centre.x - reach), right = first(centre.x + reach + sample_width());
    const int top = first(-centre.y - reach), bottom = first(reach - centre.y + sample_width());
    for (int i = top; i < bottom; ++i) {
        Colour* const samples = row(i);
        const float y = row_y(i);
        for (int j = left; j < right; ++j) visit(Point{column_x(j), y}, samples[j]);
    }
}
