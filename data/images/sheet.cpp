#include "data/images/sheet.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "runtime/base/error.h"
#include "runtime/files/atomic_file.h"

namespace {

// Draws one image enlarged by `factor` with its upper left corner at (left, top).
void draw_image(Image& sheet, std::span<const std::uint8_t> image, int size, int factor, int left, int top) {
    for (int y = 0; y < size * factor; ++y)
        for (int x = 0; x < size * factor; ++x)
            for (int c = 0; c < sheet.channels; ++c) {
                const int source = (c * size + y / factor) * size + x / factor;
                const std::int64_t target =
                    (std::int64_t{top + y} * sheet.width + left + x) * sheet.channels + c;
                sheet.pixels[static_cast<std::size_t>(target)] = image[static_cast<std::size_t>(source)];
            }
}

Image white_image(int width, int height, int channels) {
    return {width, height, channels,
            std::vector<std::uint8_t>(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
                                          static_cast<std::size_t>(channels),
                                      255)};
}

constexpr int gap = 2;

}  // namespace

Image interleaved_image(std::span<const std::uint8_t> image, int channels, int size) {
    Image result = white_image(size, size, channels);
    draw_image(result, image, size, 1, 0, 0);
    return result;
}

std::string image_name(std::int64_t number, std::string_view suffix) {
    return fmt::format("{:06}{}.png", number, suffix);
}

void write_images(const std::filesystem::path& folder, std::int64_t first,
                  std::span<const std::uint8_t> images, int channels, int size,
                  std::span<const std::string> suffixes) {
    make_folder(folder);
    const std::size_t bytes = images.size() / suffixes.size();
    for (std::size_t i = 0; i < suffixes.size(); ++i)
        write_png(folder / image_name(first + static_cast<std::int64_t>(i), suffixes[i]),
                  interleaved_image(images.subspan(i * bytes, bytes), channels, size));
}

void require_sheet(std::int64_t count, std::int64_t channels, std::int64_t size, std::int64_t columns) {
    columns = std::clamp<std::int64_t>(columns, 1, std::max<std::int64_t>(count, 1));
    const std::int64_t pitch = image_sheet_pitch(static_cast<int>(size)), width = columns * pitch + gap,
                       height = (count + columns - 1) / columns * pitch + gap;
    if (static_cast<double>(width * channels + 1) * static_cast<double>(height) >
        static_cast<double>(maximum_png_bytes))
        fail_usage("a sheet of {} images would have {}x{} pixels, too many for a PNG file ({} bytes at most)",
                   count, width, height, maximum_png_bytes);
}

Image image_sheet(std::span<const std::uint8_t> images, int channels, int size, int columns) {
    const int factor = enlargement(size), pitch = image_sheet_pitch(size);
    const auto bytes = static_cast<std::size_t>(channels * size * size);
    const int count = static_cast<int>(images.size() / bytes);
    columns = std::clamp(columns, 1, std::max(count, 1));
    require_sheet(count, channels, size, columns);
    const int rows = (count + columns - 1) / columns;
    Image sheet = white_image(columns * pitch + gap, rows * pitch + gap, channels);
    for (int n = 0; n < count; ++n)
        draw_image(sheet, images.subspan(static_cast<std::size_t>(n) * bytes, bytes), size, factor,
                   gap + n % columns * pitch, gap + n / columns * pitch);
    return sheet;
}

int enlargement(int size) {
    return std::max(1, 64 / size);
}

Image enlarge(const Image& image, int factor) {
    if (factor < 1)
        throw std::logic_error("an image enlarged by " + std::to_string(factor) + ", expected at least 1");
    Image result{image.width * factor, image.height * factor, image.channels, {}};
    const auto channels = static_cast<std::size_t>(image.channels), times = static_cast<std::size_t>(factor);
    const std::size_t row_bytes = static_cast<std::size_t>(image.width) * channels;
    result.pixels.resize(image.pixels.size() * times * times);
    auto output = result.pixels.begin();
    for (int y = 0; y < result.height; ++y) {
        const std::uint8_t* pixel = image.pixels.data() + static_cast<std::size_t>(y / factor) * row_bytes;
        for (int x = 0; x < image.width; ++x, pixel += channels)
            for (int k = 0; k < factor; ++k) output = std::copy_n(pixel, channels, output);
    }
    return result;
}

int image_sheet_pitch(int size) {
    return size * enlargement(size) + gap;
}
