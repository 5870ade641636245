// A white raster for lines and text, on which charts are drawn.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "data/charts/font.h"
#include "data/images/image_file.h"

struct Rgb {
    std::uint8_t red = 0, green = 0, blue = 0;
    bool operator==(const Rgb&) const = default;
};

// `share` of the colour on white.
Rgb tint(Rgb colour, double share);

enum class Alignment { left, centre, right };

class Drawing {
  public:
    Drawing(int width, int height);

    const Image& image() const { return image_; }  // RGB

    // Lines of `width` pixels with round ends and smooth edges, as one shape: where they cross, the colour is
    // the same. Clipped to the drawing.
    void draw(std::span<const Stroke> strokes, double width, Rgb colour);
    // Through all points in their order.
    void draw_path(std::span<const Position> points, double width, Rgb colour);

    // A rectangle of whole pixels, from the nearest edge of one to that of another. Clipped to the drawing.
    void fill(Position upper_left, Position lower_right, Rgb colour);

    // `size`: pixels in a unit of the font, which makes capitals 6 `size` high. `start`: of the baseline, or
    // its centre or end.
    void write(Position start, std::string_view text, double size, Rgb colour,
               Alignment alignment = Alignment::left);

  private:
    Image image_;
    std::vector<float> coverage_;  // [height, width], 0 between the calls
};
