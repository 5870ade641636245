#include "data/charts/captioned_sheet.h"

#include <algorithm>

#include "data/charts/drawing.h"
#include "data/images/sheet.h"
#include "runtime/base/error.h"

namespace {

constexpr int gap = 6, least_side = 192, most_lines = 11, line_pitch = 12,
              text_height = most_lines * line_pitch + 4;
constexpr double letter_size = 1.25;
constexpr Rgb ink{30, 30, 30};

int factor_of(int size) {
    return std::max(1, (least_side + size - 1) / size);
}

// All captions, [text_height, width].
Image text_image(const std::vector<std::string>& captions, int width) {
    std::vector<std::string> lines;
    for (const std::string& caption : captions)
        for (std::size_t first = lines.size();
             const std::string& line : wrapped_text(caption, (width - 4) / letter_size - 2 * letter_pitch))
            lines.push_back((lines.size() == first ? "- " : "  ") + line);
    if (lines.size() > most_lines) {
        lines.resize(most_lines - 1);
        lines.emplace_back("  ...");
    }
    Drawing drawing(width, text_height);
    double baseline = line_pitch;
    for (const std::string& line : lines) {
        drawing.write({2, baseline}, line, letter_size, ink);
        baseline += line_pitch;
    }
    return drawing.image();
}

void place(Image& sheet, const Image& part, int left, int top) {
    for (int y = 0; y < part.height; ++y)
        for (int x = 0; x < part.width; ++x)
            for (int c = 0; c < 3; ++c)
                sheet.pixels[static_cast<std::size_t>(((top + y) * sheet.width + left + x) * 3 + c)] =
                    part.pixels[static_cast<std::size_t>((y * part.width + x) * part.channels +
                                                         std::min(c, part.channels - 1))];
}

}  // namespace

int captioned_sheet_pitch(int size) {
    return size * factor_of(size) + text_height + gap;
}

Image captioned_sheet(std::span<const std::uint8_t> pictures, int channels, int size, int columns,
                      std::span<const std::vector<std::string>> captions) {
    const int count = static_cast<int>(captions.size()), side = size * factor_of(size);
    columns = std::clamp(columns, 1, std::max(count, 1));
    const int rows = (count + columns - 1) / columns, width = columns * (side + gap) + gap,
              height = rows * captioned_sheet_pitch(size) + gap;
    if (3.0 * width * height > static_cast<double>(maximum_png_bytes))
        fail_usage("a sheet of {} images with captions would have {}x{} pixels, too many for a PNG file",
                   count, width, height);
    const auto bytes = static_cast<std::size_t>(channels * size * size);
    Image sheet = Drawing(width, height).image();
    for (int n = 0; n < count; ++n) {
        const int left = gap + n % columns * (side + gap),
                  top = gap + n / columns * captioned_sheet_pitch(size);
        const Image picture =
            interleaved_image(pictures.subspan(static_cast<std::size_t>(n) * bytes, bytes), channels, size);
        place(sheet, enlarge(picture, factor_of(size)), left, top);
        place(sheet, text_image(captions[static_cast<std::size_t>(n)], side), left, top + side);
    }
    return sheet;
}
