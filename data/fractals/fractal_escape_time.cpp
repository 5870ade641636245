// Escape-time fractals: each point is coloured by its orbit under repeated application of a map. Samples are
// processed in groups that stay in vector registers: a finished lane keeps its state until the slowest lane
// of its group has finished.
#include "data/fractals/fractal_painters.h"

namespace {

constexpr int lanes = 16;
using Lanes = std::array<float, lanes>;

// How the samples of a canvas lie in the complex plane.
struct Frame {
    Point centre;
    Point turn;  // unit vector times half the side of the picture
    Point to_plane(Point p) const { return centre + complex_product(turn, p); }
};

// The orbits of z -> z^2 + c of a group of samples.
struct Orbits {
    Lanes cx, cy, zx, zy;
    Lanes steps{};  // until |z| > escape_radius
    Lanes nearest;  // least |z|^2 along the orbit, the start excluded
    Lanes
        escape;  // number of steps with a fraction that makes it continuous; negative where the orbit stayed
};

constexpr float escape_radius_squared = 256.0f;

void run_orbits(Orbits& o, int most_steps) {
    o.nearest.fill(escape_radius_squared);
    constexpr int steps_between_checks = 8;
    for (int done = 0; done < most_steps; done += steps_between_checks) {
        for (int step = 0; step < steps_between_checks; ++step) {
#pragma omp simd
            for (std::size_t i = 0; i < lanes; ++i) {
                const float x = o.zx[i], y = o.zy[i];
                const bool stays = x * x + y * y <= escape_radius_squared;
                const float next_x = x * x - y * y + o.cx[i], next_y = 2.0f * x * y + o.cy[i];
                const float square = next_x * next_x + next_y * next_y;
                o.zx[i] = stays ? next_x : x;
                o.zy[i] = stays ? next_y : y;
                o.steps[i] += stays ? 1.0f : 0.0f;
                o.nearest[i] = square < o.nearest[i] ? square : o.nearest[i];
            }
        }
        bool any_stays = false;
        for (std::size_t i = 0; i < lanes; ++i)
            any_stays |= o.zx[i] * o.zx[i] + o.zy[i] * o.zy[i] <= escape_radius_squared;
        if (!any_stays) break;
    }
#pragma omp simd
    for (std::size_t i = 0; i < lanes; ++i) {
        const float square = o.zx[i] * o.zx[i] + o.zy[i] * o.zy[i];
        const float outside = square > escape_radius_squared ? square : 2.0f * escape_radius_squared;
        const float continuous = o.steps[i] + 3.0f - fast_log2(fast_log2(outside));
        o.escape[i] = square > escape_radius_squared ? (continuous > 0.0f ? continuous : 0.0f) : -1.0f;
    }
}

// Calls prepare(lane, point of the plane) for each sample of a group, then finish(), then colour_of(lane).
template <class Prepare, class Finish, class ColourOf>
void paint_in_groups(Canvas& canvas, const Frame& frame, Prepare prepare, Finish finish, ColourOf colour_of) {
    for (int i = 0; i < canvas.grid(); ++i) {
        for (int j = 0; j < canvas.grid(); j += lanes) {
            for (int lane = 0; lane < lanes; ++lane)
                prepare(static_cast<std::size_t>(lane),
                        frame.to_plane({canvas.column_x(j + lane), canvas.row_y(i)}));
            finish();
            for (int lane = 0; lane < std::min(lanes, canvas.grid() - j); ++lane)
                canvas.row(i)[j + lane] = colour_of(static_cast<std::size_t>(lane));
        }
    }
}

constexpr std::array<Stops, 4> mandelbrot_palettes = {{
    {0x04102e, 0x0d3a8c, 0x2f86d8, 0xa9dcf2, 0xfff3c4},
    {0x050a24, 0x173a86, 0x4a6fd0, 0xd7c9ee, 0xffe3b0},
    {0x020d1f, 0x0a4a74, 0x1f9bb5, 0xaeeadf, 0xfff6cf},
    {0x060822, 0x1b2a80, 0x3c7ad6, 0xc3e4ff, 0xffd98a},
}};

constexpr std::array<Stops, 4> julia_palettes = {{
    {0x1c0522, 0x5a0f4e, 0xb3245f, 0xf2763f, 0xffe08a},
    {0x160527, 0x4a1268, 0xa32a86, 0xef5f6c, 0xffc98a},
    {0x21060f, 0x6e1030, 0xc22f3e, 0xf58a33, 0xfff0a0},
    {0x120828, 0x3f1a7a, 0x9b2fa0, 0xf0609a, 0xffd3b0},
}};

}  // namespace

void paint_mandelbrot(Canvas& canvas, PictureRandom& random, FractalScene& scene) {
    constexpr int most_steps = 160;
    const Gradient gradient = scene.foreground(random, mandelbrot_palettes, GradientUse::field);
    const float half_side = random.between(1.05f, 1.45f);
    const Point centre{random.between(-0.75f, -0.55f), random.between(-0.12f, 0.12f)};
    const float turns = random.between(-0.07f, 0.07f);
    const Frame frame{centre, half_side * unit_vector(turns)};
    scene.facts.extent = (1.45f - half_side) / 0.4f;
    scene.facts.turns = -turns;
    const float softness = random.between(4.0f, 9.0f);
    Orbits orbits;
    paint_in_groups(
        canvas, frame,
        [&](std::size_t lane, Point c) {
            orbits.cx[lane] = c.x;
            orbits.cy[lane] = c.y;
            orbits.zx[lane] = orbits.zy[lane] = orbits.steps[lane] = 0.0f;
        },
        [&] { run_orbits(orbits, most_steps); },
        [&](std::size_t lane) {
            const float escape = orbits.escape[lane];
            if (escape < 0.0f) return Colour{0.0005f, 0.0005f, 0.002f};
            return gradient.at(escape / (escape + softness));
        });
}

void paint_julia(Canvas& canvas, PictureRandom& random, FractalScene& scene) {
    constexpr int most_steps = 160;
    const Gradient gradient = scene.foreground(random, julia_palettes, GradientUse::field);
    // c near the edge of the Mandelbrot set's main heart: c = m / 2 - m^2 / 4 with |m| = 1 on the edge. Just
    // inside, the set is one piece; just outside, it has opened into spirals.
    const Point m_direction = unit_vector(random.between(0.15f, 0.85f));
    const Point m = random.between(0.90f, 1.03f) * m_direction;
    const Point c = 0.5f * m - 0.25f * complex_product(m, m);
    const Point direction = unit_vector(random.between(-0.06f, 0.06f));
    const float half_side = random.between(1.2f, 1.5f);
    const Frame frame{{}, half_side * direction};
    scene.facts.extent = (1.5f - half_side) / 0.3f;
    const float softness = random.between(10.0f, 16.0f);
    Orbits orbits;
    orbits.cx.fill(c.x);
    orbits.cy.fill(c.y);
    paint_in_groups(
        canvas, frame,
        [&](std::size_t lane, Point z) {
            orbits.zx[lane] = z.x;
            orbits.zy[lane] = z.y;
            orbits.steps[lane] = 0.0f;
        },
        [&] { run_orbits(orbits, most_steps); },
        [&](std::size_t lane) {
            const float escape = orbits.escape[lane];
            if (escape < 0.0f) return gradient.at(1.0f - 1.2f * orbits.nearest[lane]);
            return gradient.at(escape / (escape + softness) - 0.1f);
        });
}

namespace {

// Newton's method for z^degree = 1 on a group of samples.
struct NewtonOrbits {
    Lanes zx, zy;
    Lanes distance;  // |z^degree - 1|^2
    Lanes steps;     // until the distance is small, with a fraction that makes it continuous
};

void run_newton(NewtonOrbits& o, int degree) {
    constexpr int most_steps = 24;
    constexpr float near_root = 0.01f;  // |z^degree - 1|^2
    o.steps.fill(0.0f);
    const float rate = 1.0f / static_cast<float>(degree);
    for (int step = 0; step < most_steps; ++step) {
        bool any_far = false;
        Lanes px, py;  // z^(degree - 1)
        px = o.zx;
        py = o.zy;
        for (int power = 2; power < degree; ++power) {
#pragma omp simd
            for (std::size_t i = 0; i < lanes; ++i) {
                const float x = px[i] * o.zx[i] - py[i] * o.zy[i];
                py[i] = px[i] * o.zy[i] + py[i] * o.zx[i];
                px[i] = x;
            }
        }
#pragma omp simd
        for (std::size_t i = 0; i < lanes; ++i) {
            const float x = o.zx[i], y = o.zy[i];
            const float rx = px[i] * x - py[i] * y - 1.0f, ry = px[i] * y + py[i] * x;
            const float norm = px[i] * px[i] + py[i] * py[i] + 1e-12f;
            o.distance[i] = rx * rx + ry * ry;
            const bool far = o.distance[i] > near_root;
            o.zx[i] = far ? x - rate * (rx * px[i] + ry * py[i]) / norm : x;
            o.zy[i] = far ? y - rate * (ry * px[i] - rx * py[i]) / norm : y;
            o.steps[i] += far ? 1.0f : 0.0f;
        }
        for (std::size_t i = 0; i < lanes; ++i) any_far |= o.distance[i] > near_root;
        if (!any_far) break;
    }
    // The logarithm of the distance doubles with every step.
#pragma omp simd
    for (std::size_t i = 0; i < lanes; ++i) {
        const float excess = fast_log2(fast_log2(o.distance[i] + 1e-12f) / fast_log2(near_root));
        o.steps[i] -= o.distance[i] < near_root ? excess : 0.0f;
    }
}

// Basin colours: neighbours around the circle contrast.
constexpr std::array<Stops, 6> newton_palettes = {{
    {0xf4b942, 0x1b998b, 0xe84855, 0x3066be, 0xf6e7cb},
    {0xffd166, 0x118ab2, 0xef476f, 0x06d6a0, 0x8d6bd1},
    {0xf2a65a, 0x2a7f9e, 0xd1495b, 0x66a182, 0xedd9a3},
    {0xe9c46a, 0x2a9d8f, 0xe76f51, 0x3a6ea5, 0xf4a261},
    {0xf7d154, 0x5b8e7d, 0xbc4b51, 0x4a7fb5, 0xf4e285},
    {0xf3c969, 0x4f7cac, 0xd96c75, 0x56b69c, 0xb98bc9},
}};

}  // namespace

void paint_newton(Canvas& canvas, PictureRandom& random, FractalScene& scene) {
    const int degree = 3 + random.below(3);
    const Stops palette =
        scene.basins(newton_palettes[static_cast<std::size_t>(random.below(newton_palettes.size()))]);
    scene.facts.number = degree;
    const int first_colour = random.below(degree);
    const Point centre{random.between(-0.15f, 0.15f), random.between(-0.15f, 0.15f)};
    const Point direction = unit_vector(random.unit());
    const Frame frame{centre, random.between(1.1f, 1.6f) * direction};
    std::array<Point, 5> roots;
    std::array<Colour, 5> colours;
    for (int i = 0; i < degree; ++i) {
        roots[static_cast<std::size_t>(i)] = unit_vector(static_cast<float>(i) / static_cast<float>(degree));
        Stops flat;
        flat.fill(palette[static_cast<std::size_t>((i + first_colour) % degree)]);
        colours[static_cast<std::size_t>(i)] = Gradient(flat).at(0.0f);
    }
    NewtonOrbits orbits;
    paint_in_groups(
        canvas, frame,
        [&](std::size_t lane, Point z) {
            orbits.zx[lane] = z.x;
            orbits.zy[lane] = z.y;
        },
        [&] { run_newton(orbits, degree); },
        [&](std::size_t lane) {
            std::size_t nearest = 0;
            float best = -1e30f;
            for (std::size_t i = 0; i < static_cast<std::size_t>(degree); ++i) {
                const float along = inner_product(roots[i], {orbits.zx[lane], orbits.zy[lane]});
                if (along > best) {
                    best = along;
                    nearest = i;
                }
            }
            const float darkness = 0.1f * orbits.steps[lane];
            return (1.0f / (1.0f + darkness * darkness)) * colours[nearest];
        });
}
