#include "data/fractals/fractal_picture.h"

#include "data/fractals/fractal_painters.h"

namespace {

using Painter = void (*)(Canvas&, PictureRandom&, FractalScene&);

// In the order of their labels.
constexpr std::array painters = {paint_mandelbrot, paint_julia,    paint_newton,    paint_sierpinski,
                                 paint_gasket,     paint_fern,     paint_snowflake, paint_dragon,
                                 paint_tree,       paint_mountains};

Painter painter_of(int class_index) {
    return painters[static_cast<std::size_t>(class_index)];
}

// Of the random numbers: attempts at a composition have the numbers below these.
constexpr int attempts = 8, colour_choice = 0x100, word_choice = 0x101;

// Whether the picture shows something: judged on a small drawing of it in its own colours, by the standard
// deviation of its values.
bool has_structure(int class_index, std::uint64_t seed, std::uint64_t index, int attempt) {
    constexpr int probe_size = 12, values = 3 * probe_size * probe_size;
    constexpr double least_deviation = 24;  // of 255
    std::array<std::uint8_t, values> probe;
    PictureRandom random(seed, index, class_index, attempt);
    Canvas canvas(probe_size);
    FractalScene scene;
    painter_of(class_index)(canvas, random, scene);
    canvas.resolve(probe.data());
    std::int64_t sum = 0, squares = 0;
    for (const std::int64_t value : probe) {
        sum += value;
        squares += value * value;
    }
    const double mean = static_cast<double>(sum) / values;
    return static_cast<double>(squares) / values - mean * mean > least_deviation * least_deviation;
}

struct ColourChoice {
    int palette, background;
};

ColourChoice choose_colours(int class_index, std::uint64_t seed, std::uint64_t index) {
    PictureRandom random(seed, index, class_index, colour_choice);
    const int palette = random.below(named_palettes);
    return {palette, random.below(static_cast<int>(plain_backgrounds().size()))};
}

FractalScene scene_of(int class_index, std::uint64_t seed, std::uint64_t index, FractalColours colours) {
    if (colours == FractalColours::own) return {};
    const ColourChoice choice = choose_colours(class_index, seed, index);
    return {fractal_palettes()[static_cast<std::size_t>(choice.palette)],
            plain_backgrounds()[static_cast<std::size_t>(choice.background)]};
}

}  // namespace

FractalScene paint_fractal(Canvas& canvas, int class_index, std::uint64_t seed, std::uint64_t index,
                           FractalColours colours) {
    // Nearly every first attempt passes; the last is drawn whatever it shows.
    int attempt = 0;
    while (attempt + 1 < attempts && !has_structure(class_index, seed, index, attempt)) ++attempt;
    PictureRandom random(seed, index, class_index, attempt);
    FractalScene scene = scene_of(class_index, seed, index, colours);
    painter_of(class_index)(canvas, random, scene);
    return scene;
}

int choose_palette(int class_index, std::uint64_t seed, std::uint64_t index) {
    return choose_colours(class_index, seed, index).palette;
}

PictureRandom wording_random(int class_index, std::uint64_t seed, std::uint64_t index) {
    return {seed, index, class_index, word_choice};
}
