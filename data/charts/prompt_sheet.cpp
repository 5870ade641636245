#include "data/charts/prompt_sheet.h"

#include <cstddef>
#include <string_view>
#include <vector>

#include "data/charts/drawing.h"
#include "data/images/sheet.h"

namespace {

constexpr double font_size = 1.5;  // pixels in a unit: capitals of 9 pixels
constexpr int line_height = 16, margin = 4;

// The rows of a picture of the same width below the others.
void append(Image& sheet, const Image& part) {
    for (std::size_t pixel = 0; pixel < static_cast<std::size_t>(part.width * part.height); ++pixel)
        for (int c = 0; c < 3; ++c)
            sheet.pixels.push_back(part.pixels[pixel * static_cast<std::size_t>(part.channels) +
                                               static_cast<std::size_t>(part.channels == 3 ? c : 0)]);
    sheet.height += part.height;
}

Image written(std::string_view caption, int width) {
    const std::vector<std::string> lines = wrapped_text(caption, (width - 2 * margin) / font_size);
    Drawing drawing(width, static_cast<int>(lines.size()) * line_height + margin);
    double baseline = line_height - margin;
    for (const std::string& line : lines) {
        drawing.write({margin, baseline}, line, font_size, {40, 40, 40});
        baseline += line_height;
    }
    return drawing.image();
}

}  // namespace

Image prompt_sheet(std::span<const std::uint8_t> images, int channels, int size, int columns,
                   std::span<const std::string> captions) {
    const std::size_t each = images.size() / captions.size();
    require_sheet(static_cast<std::int64_t>(images.size()) / (channels * size * size), 3, size, columns);
    Image sheet{0, 0, 3, {}};
    for (std::size_t i = 0; i < captions.size(); ++i) {
        const Image group = image_sheet(images.subspan(i * each, each), channels, size, columns);
        sheet.width = group.width;
        append(sheet, group);
        append(sheet, written(captions[i], group.width));
    }
    return sheet;
}
