// Fractals that are unions of smaller copies of themselves: drawn by testing which copies contain a sample
// (Sierpinski, Koch), or by descending into the copies until they are as small as a sample (fern, dragon).
#include "data/fractals/fractal_painters.h"

#include <cmath>

namespace {

constexpr std::array<Stops, 3> sierpinski_backgrounds = {{
    {0x2b1640, 0x32194a, 0x3a1d54, 0x42215c, 0x4a2564},
    {0x1f1838, 0x261d45, 0x2e2352, 0x37295f, 0x40306c},
    {0x33153a, 0x3b1943, 0x431d4b, 0x4b2153, 0x54265c},
}};

constexpr std::array<Stops, 4> sierpinski_palettes = {{
    {0xe5486b, 0xf97048, 0xff9a3d, 0xffc24b, 0xffe27a},
    {0xd65a31, 0xe97f33, 0xf7a440, 0xffd166, 0xfff0a8},
    {0xd1478c, 0xf0637a, 0xff8a70, 0xffb07c, 0xffd6a5},
    {0xe0567a, 0xf78154, 0xf2c14e, 0xf0d060, 0xf9f29b},
}};

constexpr std::array<Stops, 3> fern_backgrounds = {{
    {0xf3e9d2, 0xf5ecd8, 0xf7f0df, 0xf9f4e6, 0xfbf7ec},
    {0xe9efdc, 0xedf2e2, 0xf1f5e8, 0xf5f8ee, 0xf8faf3},
    {0xf2e6d8, 0xf4eadd, 0xf6eee3, 0xf8f2e9, 0xfaf6ef},
}};

constexpr std::array<Stops, 4> fern_palettes = {{
    {0x123d22, 0x1d5c2f, 0x2f7d3b, 0x55a04a, 0x8dc262},
    {0x0f4536, 0x18654a, 0x2b855c, 0x55a878, 0x93cba0},
    {0x2f4a14, 0x48681d, 0x688a2a, 0x8fae3f, 0xbdd066},
    {0x1b4a2a, 0x2a6a33, 0x448a3a, 0x74ab48, 0xacc95c},
}};

constexpr std::array<Stops, 3> night_backgrounds = {{
    {0x0a1a40, 0x12295a, 0x1c3a76, 0x294f92, 0x3a66ac},
    {0x10173f, 0x1b2559, 0x293675, 0x3a4a90, 0x4f61a8},
    {0x07223f, 0x0d3557, 0x174a70, 0x256189, 0x387aa2},
}};

constexpr std::array<Stops, 3> ice_palettes = {{
    {0xffffff, 0xb9dcf5, 0xeaf6ff, 0x8fc1ea, 0xffffff},
    {0xfbfdff, 0xaecbf2, 0xe8f0ff, 0x93aee6, 0xffffff},
    {0xfafffe, 0xb0e0ea, 0xe6faf8, 0x86c9dc, 0xffffff},
}};

constexpr std::array<Stops, 3> jade_backgrounds = {{
    {0x06231f, 0x082b26, 0x0b332d, 0x0e3b34, 0x12443c},
    {0x0a1f1a, 0x0d2720, 0x102f27, 0x14382e, 0x184136},
    {0x04262b, 0x062f34, 0x09383d, 0x0d4146, 0x114b50},
}};

constexpr std::array<Stops, 4> fire_palettes = {{
    {0xb3121d, 0xe03a1e, 0xf5761f, 0xfdb32f, 0xfff07c},
    {0xc41230, 0xea3b38, 0xfa6e3c, 0xffa84b, 0xffe08a},
    {0x9e1b12, 0xd24d17, 0xf0861c, 0xfac02e, 0xfdf29a},
    {0xd0103a, 0xf2443c, 0xfd7f32, 0xffc23e, 0xfff5a0},
}};

}  // namespace

void paint_sierpinski(Canvas& canvas, PictureRandom& random, FractalScene& scene) {
    canvas.fill_gradient(scene.background(random, sierpinski_backgrounds, true), unit_vector(random.unit()));
    const Gradient gradient = scene.foreground(random, sierpinski_palettes, GradientUse::lines);
    const float radius = random.between(0.9f, 1.15f);
    scene.facts.extent = (radius - 0.9f) / 0.25f;
    const Point centre{random.between(-0.06f, 0.06f), random.between(-0.3f, -0.18f)};
    const Point turn = (1.0f / radius) * conjugate(unit_vector(random.between(-0.035f, 0.035f)));
    const Point left = unit_vector(-5.0f / 12), right = unit_vector(-1.0f / 12);
    int generations = 1;  // until the smallest triangles are hardly more than a pixel high
    for (float height = 0.375f * radius; height > 1.4f * canvas.pixel_width(); height *= 0.5f) ++generations;
    canvas.visit_all([&](Point p, Colour& sample) {
        const Point local = complex_product(turn, p - centre);
        // The three coordinates sum to 1 and are positive inside the triangle.
        float a = (1.0f + 2.0f * local.y) / 3, b = (1.0f + 2.0f * inner_product(left, local)) / 3,
              c = (1.0f + 2.0f * inner_product(right, local)) / 3;
        if (a < 0.0f || b < 0.0f || c < 0.0f) return;
        const float height = a;
        for (int generation = 0; generation < generations; ++generation) {
            a *= 2.0f;
            b *= 2.0f;
            c *= 2.0f;
            if (a >= 1.0f)
                a -= 1.0f;
            else if (b >= 1.0f)
                b -= 1.0f;
            else if (c >= 1.0f)
                c -= 1.0f;
            else
                return;
        }
        sample = gradient.at(height);
    });
}

namespace {

// A frond is a stem that carries two leaflets and the rest of the frond, each a frond again.
struct Frond {
    Point root, tip;  // of the whole frond
    float side;       // +1, or -1 for a mirrored one
};

struct FernShape {
    Point rest,
        leaflet;    // the tip's direction relative to the stem's, times the length relative to the frond's
    float stem;     // length of the stem up to the next pair
    float stagger;  // how much later the second leaflet leaves the stem
};

void draw_frond(Canvas& canvas, const FernShape& shape, const Gradient& gradient, const Frond& frond,
                float position) {
    const Point axis = frond.tip - frond.root;
    const float length = std::sqrt(inner_product(axis, axis));
    const auto oriented = [&](Point direction) {
        return complex_product(axis, frond.side > 0.0f ? direction : conjugate(direction));
    };
    if (length < 2.5f * canvas.sample_width()) {
        canvas.stroke(frond.root, frond.tip, 0.35f * length, 0.0f, gradient.at(position));
        return;
    }
    const Point joint = frond.root + shape.stem * axis;
    canvas.stroke(frond.root, joint, 0.012f * length, 0.012f * length, gradient.at(0.3f * position));
    const Point second = frond.root + (shape.stem * shape.stagger) * axis;
    draw_frond(canvas, shape, gradient, {joint, joint + oriented(shape.leaflet), frond.side},
               position + 0.12f);
    draw_frond(canvas, shape, gradient, {second, second + oriented(conjugate(shape.leaflet)), -frond.side},
               position + 0.12f);
    draw_frond(canvas, shape, gradient, {joint, joint + oriented(shape.rest), frond.side}, position + 0.03f);
}

}  // namespace

// Like Barnsley's fern: a frond bends a little from pair to pair, and leaflets are fronds of a third the
// size.
void paint_fern(Canvas& canvas, PictureRandom& random, FractalScene& scene) {
    canvas.fill_gradient(scene.background(random, fern_backgrounds), unit_vector(random.unit()));
    const Gradient gradient = scene.foreground(random, fern_palettes, GradientUse::shape);
    const float shrink = random.between(0.82f, 0.87f), bend = random.between(0.004f, 0.014f);
    const Point leaflet_direction = unit_vector(random.between(0.13f, 0.17f));
    const Point leaflet = random.between(0.3f, 0.38f) * leaflet_direction;
    const FernShape shape{shrink * unit_vector(-bend), leaflet, 1.0f - shrink, random.between(0.4f, 0.7f)};
    const float side = random.coin() ? 1.0f : -1.0f;
    scene.facts.side = side;
    const Point root{side * random.between(-0.3f, -0.1f), random.between(-0.98f, -0.88f)};
    const Point direction = unit_vector(0.25f + side * random.between(-0.01f, 0.03f));
    const Point axis = random.between(1.75f, 2.0f) * direction;
    draw_frond(canvas, shape, gradient, {root, root + axis, side}, 0.15f);
}

namespace {

// The part of a Heighway dragon between two points of the curve; `begin` and `span` are its place along the
// curve, where a negative span means that this part is run through backwards.
void draw_dragon(Canvas& canvas, const Gradient& gradient, Point from, Point to, float begin, float span) {
    const Point axis = to - from;
    if (inner_product(axis, axis) < canvas.sample_width() * canvas.sample_width()) {
        canvas.dot(0.5f * (from + to), gradient.at(begin + 0.5f * span));
        return;
    }
    // Both halves are dragons a quarter turn apart, which start at the ends and meet at the corner.
    const Point corner = from + complex_product(axis, {0.5f, 0.5f});
    draw_dragon(canvas, gradient, from, corner, begin, 0.5f * span);
    draw_dragon(canvas, gradient, to, corner, begin + span, -0.5f * span);
}

}  // namespace

void paint_dragon(Canvas& canvas, PictureRandom& random, FractalScene& scene) {
    canvas.fill_gradient(scene.background(random, jade_backgrounds), unit_vector(random.unit()));
    const Gradient gradient = scene.foreground(random, fire_palettes, GradientUse::shape);
    const Point direction = unit_vector(random.between(-0.05f, 0.05f));
    const float length = random.between(1.1f, 1.25f);
    const Point axis = length * direction;
    // The dragon from 0 to 1 reaches from -1/3 to 7/6 and from -1/3 to 2/3: its middle is at (5/12, 1/6).
    const Point jitter{random.between(-0.08f, 0.08f), random.between(-0.08f, 0.08f)};
    scene.facts.extent = (length - 1.1f) / 0.15f;
    scene.facts.place = jitter;
    const Point start = jitter - complex_product(axis, {5.0f / 12, 1.0f / 6});
    draw_dragon(canvas, gradient, start, start + axis, 0.0f, 1.0f);
}

namespace {

// Signed distance (negative inside) to a Koch snowflake whose tips lie at distance 1 from its centre, one of
// them at the bottom. Reflections bring the point to one edge of the triangle, then to one quarter of that
// edge, again and again.
float snowflake_distance(Point p, int generations) {
    constexpr float half = 0.5f, half_root3 = 0.8660254f;
    p.x = std::fabs(p.x);
    const float below = std::min(0.0f, half_root3 * p.y - half * p.x);  // of the axis at 30 degrees
    p = {p.x + 2.0f * half * below, p.y - 2.0f * half_root3 * below};
    constexpr float edge = 2.0f * half_root3;
    Point q{p.x / edge, (p.y - half) / edge};  // the edge goes from (-1/2, 0) to (1/2, 0), outside is upwards
    float scale = edge;
    for (int generation = 0; generation < generations; ++generation) {
        q.x = std::fabs(q.x) - 1.0f / 6;
        const float behind = std::min(0.0f, half_root3 * q.x - half * q.y);
        q = {q.x - 2.0f * half_root3 * behind, q.y + 2.0f * half * behind};
        q = {3.0f * q.x - half, 3.0f * q.y};
        scale /= 3.0f;
    }
    const float beside = std::max(0.0f, std::fabs(q.x) - half);
    const float distance = scale * std::sqrt(q.y * q.y + beside * beside);
    return q.y < 0.0f ? -distance : distance;
}

}  // namespace

void paint_snowflake(Canvas& canvas, PictureRandom& random, FractalScene& scene) {
    canvas.fill_gradient(scene.background(random, night_backgrounds), unit_vector(-0.25f));
    const Gradient gradient = scene.foreground(random, ice_palettes, GradientUse::rings);
    const float radius = random.between(0.72f, 0.92f);
    const Point centre{random.between(-0.08f, 0.08f), random.between(-0.08f, 0.08f)};
    scene.facts.extent = (radius - 0.72f) / 0.2f;
    scene.facts.place = centre;
    const Point turn = (1.0f / radius) * unit_vector(random.between(-1.0f / 12, 1.0f / 12));
    const float glow = random.between(0.15f, 0.4f);
    // The flake of 1 / sqrt 3 the size, turned by 30 degrees, touches the outer one from inside.
    const Point inner_turn = 1.7320508f * unit_vector(1.0f / 12);
    constexpr int rings = 5;
    int generations = 1;
    for (float bump = 1.0f / 3; bump > 0.5f * canvas.sample_width(); bump /= 3) ++generations;
    canvas.visit_all([&](Point p, Colour& sample) {
        Point local = complex_product(turn, p - centre);
        float distance = snowflake_distance(local, generations);
        if (distance > 0.0f) {
            const float falling = 1.0f / (1.0f + 8.0f * distance);
            sample = mix(sample, gradient.at(0.75f), glow * falling * falling);
            return;
        }
        int ring = 0;
        while (ring + 1 < rings && distance < 0.0f) {
            local = complex_product(inner_turn, local);
            distance = snowflake_distance(local, generations);
            if (distance < 0.0f) ++ring;
        }
        sample = gradient.at(static_cast<float>(ring) / (rings - 1));
    });
}
