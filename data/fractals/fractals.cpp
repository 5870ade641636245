#include "data/fractals/fractals.h"

#include "data/fractals/fractal_picture.h"
#include "runtime/base/error.h"

const std::array<std::string_view, fractal_classes>& fractal_class_names() {
    static constexpr std::array<std::string_view, fractal_classes> names = {
        "mandelbrot", "julia",     "newton", "sierpinski", "gasket",
        "fern",       "snowflake", "dragon", "tree",       "mountains"};
    return names;
}

void require_fractal_class(int class_index) {
    if (class_index < 0 || class_index >= fractal_classes)
        fail("fractal class {}: expected 0 to {}", class_index, fractal_classes - 1);
}

void draw_fractal(std::uint8_t* pixels, int size, int class_index, std::uint64_t seed, std::uint64_t index,
                  FractalColours colours) {
    constexpr int largest_size = 1024;
    if (size < 1 || size > largest_size) fail("fractal size {}: expected 1 to {}", size, largest_size);
    require_fractal_class(class_index);
    Canvas canvas(size);
    paint_fractal(canvas, class_index, seed, index, colours);
    canvas.resolve(pixels);
}
