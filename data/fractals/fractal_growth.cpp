// Fractals built by adding ever smaller parts: circles into the gaps between circles, branches on branches,
// bumps on a ridge.
#include "data/fractals/fractal_painters.h"

#include <cmath>

namespace {

constexpr std::array<Stops, 3> gasket_backgrounds = {{
    {0x14121c, 0x17141f, 0x1a1723, 0x1d1a27, 0x201d2b},
    {0x101419, 0x13181d, 0x161b22, 0x191f26, 0x1d232b},
    {0x18121a, 0x1b151e, 0x1f1822, 0x231b26, 0x271e2b},
}};

constexpr std::array<Stops, 4> gasket_palettes = {{
    {0x0b3c49, 0x13737a, 0x2fa89b, 0x9bd8b4, 0xfdf6c9},
    {0x17325c, 0x1f6a8c, 0x37a5a5, 0xa5dcb0, 0xfff3c0},
    {0x0f4c3a, 0x1d7f5f, 0x57b583, 0xbfe3a0, 0xfdf8cf},
    {0x143d52, 0x1b7b86, 0x49b39f, 0xb3e0bd, 0xfff7da},
}};

// Curvature is 1 / radius, negative for the circle that holds all others.
struct Circle {
    float curvature;
    Point centre;
};

void draw_disc(Canvas& canvas, const Gradient& gradient, const Circle& circle) {
    const float radius = 1.0f / circle.curvature;
    // Smaller circles are brighter; every disc is lit from the upper left.
    const float position = fast_log2(circle.curvature) * 0.2f - 0.1f;
    const float inner = 0.97f * radius;
    canvas.visit_square(circle.centre, inner, [&](Point p, Colour& sample) {
        const Point away = p - circle.centre;
        if (inner_product(away, away) > inner * inner) return;
        const float light = (away.y - away.x) * 0.7071f * circle.curvature;
        sample = gradient.at(position + 0.12f * light);
    });
}

// Draws the circle that touches a, b and c on the other side of them from d, and all circles in the gaps it
// leaves. Descartes: among four circles that touch each other, the sum of curvatures (times centres) of one
// and its mirror image is twice that of the other three.
void fill_gap(Canvas& canvas, const Gradient& gradient, const Circle& a, const Circle& b, const Circle& c,
              const Circle& d) {
    const float curvature = 2.0f * (a.curvature + b.curvature + c.curvature) - d.curvature;
    if (curvature * 0.8f * canvas.pixel_width() > 1.0f) return;
    const Point weighted = 2.0f * (a.curvature * a.centre + b.curvature * b.centre + c.curvature * c.centre) -
                           d.curvature * d.centre;
    const Circle circle{curvature, (1.0f / curvature) * weighted};
    draw_disc(canvas, gradient, circle);
    fill_gap(canvas, gradient, a, b, circle, c);
    fill_gap(canvas, gradient, a, c, circle, b);
    fill_gap(canvas, gradient, b, c, circle, a);
}

// The corner of a triangle at distances from_origin from the origin and from_other from (other, 0), above the
// axis.
Point triangle_corner(float other, float from_origin, float from_other) {
    const float x = (other * other + from_origin * from_origin - from_other * from_other) / (2.0f * other);
    return {x, std::sqrt(std::max(0.0f, from_origin * from_origin - x * x))};
}

}  // namespace

// Apollonius' gasket: three circles that touch inside a fourth, and a circle in every gap.
void paint_gasket(Canvas& canvas, PictureRandom& random, FractalScene& scene) {
    canvas.fill_gradient(scene.background(random, gasket_backgrounds), unit_vector(random.unit()));
    const Gradient gradient = scene.foreground(random, gasket_palettes, GradientUse::discs);
    const float radius = random.between(0.88f, 0.98f);
    const Point turn = radius * unit_vector(random.unit());
    // Radii for an outer circle of radius 1: 0.464 twice makes all three equal, 0.5 twice puts two on a
    // diameter.
    const float first = random.between(0.45f, 0.54f), second = random.between(0.40f, 0.46f);
    // The larger of the two circles that touch these and the outer one, by Descartes' theorem.
    const float k1 = 1.0f / first, k2 = 1.0f / second;
    const float third = 1.0f / (k1 + k2 - 1.0f - 2.0f * std::sqrt(std::max(0.0f, k1 * k2 - k1 - k2)));
    const auto placed = [&](float r, Point centre) {
        return Circle{1.0f / (r * radius), complex_product(turn, centre)};
    };
    const Circle outer = placed(-1.0f, {});
    const Circle a = placed(first, {1.0f - first, 0.0f});
    const Circle b = placed(second, triangle_corner(1.0f - first, 1.0f - second, first + second));
    const Circle c = placed(third, conjugate(triangle_corner(1.0f - first, 1.0f - third, first + third)));
    for (const Circle& circle : {a, b, c}) draw_disc(canvas, gradient, circle);
    fill_gap(canvas, gradient, a, b, c, outer);
    fill_gap(canvas, gradient, outer, a, b, c);
    fill_gap(canvas, gradient, outer, a, c, b);
    fill_gap(canvas, gradient, outer, b, c, a);
}

namespace {

constexpr std::array<Stops, 3> sky_palettes = {{
    {0xf6ead8, 0xe3e9e4, 0xc6e2ee, 0xa5d3ec, 0x86c0e4},
    {0xfdf0df, 0xeeeae6, 0xd3e3ef, 0xb3d0ea, 0x94badf},
    {0xf9f1d6, 0xe6efdc, 0xc9e9e4, 0xa6dbe3, 0x84c9de},
}};

constexpr std::array<Stops, 4> foliage_palettes = {{
    {0xb83a6b, 0xd85c8a, 0xee86aa, 0xf7b3c9, 0xfde0e8},
    {0xc2304a, 0xe05a62, 0xf08a86, 0xf8b9ad, 0xfde2d8},
    {0xa83279, 0xcb5599, 0xe384b8, 0xf2b3d4, 0xfbe0ee},
    {0xc04060, 0xe06c80, 0xf298a4, 0xf9c2c8, 0xfee8ea},
}};

constexpr Stops bark = {0x3a2420, 0x452b25, 0x50332b, 0x5c3b32, 0x684439};
constexpr Stops meadow = {0x4c7a3a, 0x5b8c43, 0x6b9c4e, 0x7cab5a, 0x8fba68};

struct TreeShape {
    float angle;  // turns between a branch and its child branches
    float ratio;  // length of a branch relative to the one it grows from
    float leaf;   // radius
};

void draw_branch(Canvas& canvas, PictureRandom& random, const TreeShape& shape, const Gradient& foliage,
                 Point base, Point axis, float width, int generation) {
    constexpr int last_generation = 8, first_with_leaves = 6;
    const Point tip = base + axis;
    static const Gradient wood(bark);
    canvas.stroke(base, tip, width, 0.72f * width, wood.at(0.5f));
    if (generation >= first_with_leaves) {
        const float light = 0.45f + 0.4f * (tip.y - 0.2f) - 0.25f * tip.x + random.between(-0.12f, 0.12f);
        canvas.stroke(tip, tip, shape.leaf, shape.leaf, foliage.at(light));
    }
    if (generation == last_generation) return;
    for (const float side : {-1.0f, 1.0f}) {
        const Point turn = unit_vector(side * shape.angle * random.between(0.75f, 1.25f));
        const float length = shape.ratio * random.between(0.92f, 1.08f);
        draw_branch(canvas, random, shape, foliage, tip, length * complex_product(axis, turn), 0.68f * width,
                    generation + 1);
    }
}

}  // namespace

// A tree whose every branch carries two smaller ones.
void paint_tree(Canvas& canvas, PictureRandom& random, FractalScene& scene) {
    canvas.fill_gradient(draw_gradient(random, sky_palettes), {0.0f, 1.0f});
    const Gradient foliage = scene.foreground(random, foliage_palettes, GradientUse::shape), grass(meadow);
    const float horizon = random.between(-0.8f, -0.7f), hill = random.between(-0.3f, 0.3f);
    const Point base{random.between(-0.12f, 0.12f), horizon - 0.06f};
    canvas.visit_all([&](Point p, Colour& sample) {
        const float depth = horizon - 0.12f * (p.x - hill) * (p.x - hill) - p.y;
        if (depth > 0.0f) sample = grass.at(0.9f - 2.5f * depth);
    });
    const TreeShape shape{random.between(0.055f, 0.085f), random.between(0.74f, 0.80f),
                          random.between(0.035f, 0.055f)};
    const Point direction = unit_vector(0.25f + random.between(-0.015f, 0.015f));
    const float length = random.between(0.40f, 0.48f);
    const Point trunk = length * direction;
    // Branches one after the other, straight up: 1.44 at the least, 2.08 at the most.
    float height = length;
    for (int generation = 0; generation < 8; ++generation) height = length + shape.ratio * height;
    scene.facts.extent = (height - 1.44f) / 0.64f;
    draw_branch(canvas, random, shape, foliage, base, trunk, random.between(0.06f, 0.08f), 0);
}

namespace {

// Top of the sky, horizon, then the ridges from the farthest to the nearest.
constexpr std::array<Stops, 5> landscape_palettes = {{
    {0x5f8fc4, 0xffdcb4, 0xc58f9a, 0x77608c, 0x2a2450},
    {0x4d7fb8, 0xfbe6c8, 0xa9a0b8, 0x5d6a94, 0x1c2a4c},
    {0x6a78b8, 0xffc9a0, 0xd07f86, 0x7a4a7c, 0x2c1a48},
    {0x4a90b0, 0xf6ead0, 0x9fb4bc, 0x4f7a90, 0x14344c},
    {0x6f6fb0, 0xffd0b8, 0xb888a8, 0x66568e, 0x221c4a},
}};

constexpr int ridge_generations = 9, ridge_points = (1 << ridge_generations) + 1;
using Ridge = std::array<float, ridge_points>;

// Midpoint displacement: the middle of every piece is moved up or down, by less and less.
Ridge draw_ridge(PictureRandom& random, float height, float roughness) {
    Ridge ridge;
    ridge.front() = height + random.between(-0.15f, 0.15f);
    ridge.back() = height + random.between(-0.15f, 0.15f);
    float displacement = 0.28f;
    for (int step = ridge_points - 1; step > 1; step /= 2) {
        for (int left = 0; left + step < ridge_points; left += step) {
            const auto at = [&](int i) -> float& { return ridge[static_cast<std::size_t>(i)]; };
            at(left + step / 2) =
                0.5f * (at(left) + at(left + step)) + displacement * random.between(-1.0f, 1.0f);
        }
        displacement *= roughness;
    }
    return ridge;
}

// Its height at x in (-1, 1).
float ridge_top(const Ridge& ridge, float x) {
    const float along = 0.5f * (x + 1.0f) * (ridge_points - 1);
    const auto left = static_cast<std::size_t>(along);
    const float part = along - static_cast<float>(left);
    return ridge[left] * (1.0f - part) + ridge[left + 1] * part;
}

}  // namespace

// Ridges by midpoint displacement, one before the other in the haze, under a low sun.
void paint_mountains(Canvas& canvas, PictureRandom& random, FractalScene& scene) {
    constexpr int ridges = 4;
    const Gradient gradient = scene.foreground(random, landscape_palettes, GradientUse::landscape);
    const Point sun{random.between(-0.7f, 0.7f), random.between(0.25f, 0.6f)};
    const float sun_radius = random.between(0.12f, 0.18f);
    scene.facts.place = sun;
    const Colour sunlight{1.0f, 0.93f, 0.72f};
    canvas.visit_all([&](Point p, Colour& sample) {
        const Point away = p - sun;
        const float square = inner_product(away, away), disc = sun_radius * sun_radius;
        const Colour sky = gradient.at(0.25f * std::min(1.0f, 1.0f - p.y));
        sample = square < disc ? sunlight : mix(sky, sunlight, 0.45f * disc / square);
    });
    for (int i = 0; i < ridges; ++i) {
        const float nearness = static_cast<float>(i) / (ridges - 1);
        const Ridge ridge = draw_ridge(random, 0.15f - 0.75f * nearness, 0.5f);
        scene.facts.is_hidden |= ridge_top(ridge, sun.x) > sun.y + 0.4f * sun_radius;
        const float haze = 0.45f + 0.5f * nearness;
        for (int column = 0; column < canvas.grid(); ++column) {
            const float top = ridge_top(ridge, canvas.column_x(column));
            for (int row = std::max(0, static_cast<int>((1.0f - top) / canvas.sample_width() + 0.5f));
                 row < canvas.grid(); ++row)
                canvas.row(row)[column] = gradient.at(haze - 0.12f * std::min(1.0f, top - canvas.row_y(row)));
        }
    }
}
