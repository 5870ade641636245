#include "data/sheet.h"

#include <algorithm>

Image image_sheet(std::span<const std::uint8_t> images, int channels, int size, int columns) {
    constexpr int gap = 2;
    const int factor = std::max(1, 64 / size), cell = size * factor, pitch = cell + gap;
    const int plane = size * size, count = static_cast<int>(images.size()) / (channels * plane);
    const int rows = (count + columns - 1) / columns;
    Image sheet{columns * pitch + gap, rows * pitch + gap, channels, {}};
    sheet.pixels.assign(static_cast<std::size_t>(sheet.width) * static_cast<std::size_t>(sheet.height * channels), 255);
    for (int n = 0; n < count; ++n) {
        const int left = gap + n % columns * pitch, top = gap + n / columns * pitch;
        for (int y = 0; y < cell; ++y)
            for (int x = 0; x < cell; ++x)
                for (int c = 0; c < channels; ++c) {
                    const int source = (n * channels + c) * plane + y / factor * size + x / factor;
                    const int target = ((top + y) * sheet.width + left + x) * channels + c;
                    sheet.pixels[static_cast<std::size_t>(target)] = images[static_cast<std::size_t>(source)];
                }
    }
    return sheet;
}
