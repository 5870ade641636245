#include "data/fractals/fractals.h"

#include "data/fractals/fractal_painters.h"
#include "runtime/base/error.h"

namespace {

constexpr int largest_size = 1024;

using Painter = void (*)(Canvas&, PictureRandom&);

constexpr std::array<Painter, fractal_classes> painters = {
    paint_mandelbrot, paint_julia,     paint_newton, paint_sierpinski, paint_gasket,
    paint_fern,       paint_snowflake, paint_dragon, paint_tree,       paint_mountains};

// Whether the picture shows something: judged on a small drawing of it, by the standard deviation of its
// values.
bool has_structure(int class_index, std::uint64_t seed, std::uint64_t index, int attempt) {
    constexpr int probe_size = 12, values = 3 * probe_size * probe_size;
    constexpr double least_deviation = 24;  // of 255
    std::array<std::uint8_t, values> probe;
    PictureRandom random(seed, index, class_index, attempt);
    Canvas canvas(probe_size);
    painters[static_cast<std::size_t>(class_index)](canvas, random);
    canvas.resolve(probe.data());
    std::int64_t sum = 0, squares = 0;
    for (const std::int64_t value : probe) {
        sum += value;
        squares += value * value;
    }
    const double mean = static_cast<double>(sum) / values;
    return static_cast<double>(squares) / values - mean * mean > least_deviation * least_deviation;
}

}  // namespace

const std::array<std::string_view, fractal_classes>& fractal_class_names() {
    static constexpr std::array<std::string_view, fractal_classes> names = {
        "mandelbrot", "julia",     "newton", "sierpinski", "gasket",
        "fern",       "snowflake", "dragon", "tree",       "mountains"};
    return names;
}

void draw_fractal(std::uint8_t* pixels, int size, int class_index, std::uint64_t seed, std::uint64_t index) {
    if (size < 1 || size > largest_size) fail("fractal size {}: expected 1 to {}", size, largest_size);
    if (class_index < 0 || class_index >= fractal_classes)
        fail("fractal class {}: expected 0 to {}", class_index, fractal_classes - 1);
    // Nearly every first attempt passes; the last is drawn whatever it shows.
    constexpr int attempts = 8;
    int attempt = 0;
    while (attempt + 1 < attempts && !has_structure(class_index, seed, index, attempt)) ++attempt;
    PictureRandom random(seed, index, class_index, attempt);
    Canvas canvas(size);
    painters[static_cast<std::size_t>(class_index)](canvas, random);
    canvas.resolve(pixels);
}
