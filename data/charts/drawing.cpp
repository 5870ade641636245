#include "data/charts/drawing.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace {

// A part of the sheet in pixels, the ends not included.
struct Extent {
    int left, top, right, bottom;
};

// Where a line reaches, smooth edges included.
Extent extent_of(const Stroke& stroke, double reach, const Image& image) {
    const auto pixel = [](double position, int size) {
        return static_cast<int>(std::clamp(std::floor(position), 0.0, static_cast<double>(size)));
    };
    return {pixel(std::min(stroke.from.x, stroke.to.x) - reach, image.width),
            pixel(std::min(stroke.from.y, stroke.to.y) - reach, image.height),
            pixel(std::max(stroke.from.x, stroke.to.x) + reach + 1, image.width),
            pixel(std::max(stroke.from.y, stroke.to.y) + reach + 1, image.height)};
}

double distance(Position point, const Stroke& stroke) {
    const double along_x = stroke.to.x - stroke.from.x, along_y = stroke.to.y - stroke.from.y,
                 x = point.x - stroke.from.x, y = point.y - stroke.from.y,
                 squared_length = along_x * along_x + along_y * along_y;
    const double share =
        squared_length > 0 ? std::clamp((x * along_x + y * along_y) / squared_length, 0.0, 1.0) : 0;
    const double off_x = x - share * along_x, off_y = y - share * along_y;
    return std::sqrt(off_x * off_x + off_y * off_y);
}

std::uint8_t mixed(std::uint8_t below, std::uint8_t above, double share) {
    return static_cast<std::uint8_t>(std::lround(below + share * (above - below)));
}

}  // namespace

Rgb tint(Rgb colour, double share) {
    return {mixed(255, colour.red, share), mixed(255, colour.green, share), mixed(255, colour.blue, share)};
}

Drawing::Drawing(int width, int height)
    : image_{width, height, 3, {}},
      coverage_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height)) {
    image_.pixels.assign(coverage_.size() * 3, 255);
}

void Drawing::draw(std::span<const Stroke> strokes, double width, Rgb colour) {
    const double reach = width / 2 + 0.5;
    Extent all{image_.width, image_.height, 0, 0};
    for (const Stroke& stroke : strokes) {
        const Extent extent = extent_of(stroke, reach, image_);
        for (int y = extent.top; y < extent.bottom; ++y)
            for (int x = extent.left; x < extent.right; ++x) {
                const auto covered = static_cast<float>(
                    std::clamp(reach - distance({x + 0.5, y + 0.5}, stroke), 0.0, std::min(1.0, width)));
                float& coverage = coverage_[static_cast<std::size_t>(y * image_.width + x)];
                coverage = std::max(coverage, covered);
            }
        all = {std::min(all.left, extent.left), std::min(all.top, extent.top),
               std::max(all.right, extent.right), std::max(all.bottom, extent.bottom)};
    }
    for (int y = all.top; y < all.bottom; ++y)
        for (int x = all.left; x < all.right; ++x) {
            const auto at = static_cast<std::size_t>(y * image_.width + x);
            const auto share = static_cast<double>(std::exchange(coverage_[at], 0.0f));
            if (share == 0) continue;
            std::uint8_t* pixel = &image_.pixels[3 * at];
            pixel[0] = mixed(pixel[0], colour.red, share);
            pixel[1] = mixed(pixel[1], colour.green, share);
            pixel[2] = mixed(pixel[2], colour.blue, share);
        }
}

void Drawing::draw_path(std::span<const Position> points, double width, Rgb colour) {
    std::vector<Stroke> strokes;
    if (points.size() == 1) strokes.push_back({points[0], points[0]});
    for (std::size_t i = 1; i < points.size(); ++i) strokes.push_back({points[i - 1], points[i]});
    draw(strokes, width, colour);
}

void Drawing::fill(Position upper_left, Position lower_right, Rgb colour) {
    const auto edge = [](double position, int size) {
        return static_cast<int>(std::clamp(std::round(position), 0.0, static_cast<double>(size)));
    };
    const int left = edge(upper_left.x, image_.width), right = edge(lower_right.x, image_.width);
    for (int y = edge(upper_left.y, image_.height); y < edge(lower_right.y, image_.height); ++y)
        for (int x = left; x < right; ++x) {
            std::uint8_t* pixel = &image_.pixels[static_cast<std::size_t>(y * image_.width + x) * 3];
            pixel[0] = colour.red;
            pixel[1] = colour.green;
            pixel[2] = colour.blue;
        }
}

void Drawing::write(Position start, std::string_view text, double size, Rgb colour, Alignment alignment) {
    const double width = size * text_width(text),
                 left = std::round(start.x - (alignment == Alignment::left     ? 0
                                              : alignment == Alignment::centre ? width / 2
                                                                               : width));
    std::vector<Stroke> strokes = text_strokes(text);
    for (Stroke& stroke : strokes)
        for (Position* end : {&stroke.from, &stroke.to})
            *end = {left + size * end->x + 0.5, start.y + size * end->y + 0.5};  // through middles of pixels
    draw(strokes, 0.7 + 0.4 * size, colour);
}
