#include "data/images/crop.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <utility>

#include "runtime/base/error.h"

namespace {

constexpr int fraction_bits = 22;  // 32 less 8 for the byte and 2 for the overshoot of bicubic and Lanczos

struct Filter {
    double support;  // the weight is 0 beyond this distance, in source pixels when not shrinking
    double (*weight)(double distance);
};

constexpr Filter box = {0.5, [](double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }};

// Keys' cubic convolution (1981) with a = -0.5.
constexpr Filter bicubic = {2.0, [](double x) {
                                constexpr double a = -0.5;
                                x = std::abs(x);
                                if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
                                if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
                                return 0.0;
                            }};

// Duchon (1979): a sinc in the window of one that is three times as wide.
constexpr Filter lanczos = {3.0, [](double x) {
                                const auto sinc = [](double t) {
                                    t *= std::numbers::pi;
                                    return t == 0.0 ? 1.0 : std::sin(t) / t;
                                };
                                return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
                            }};

// Output pixels [first, first + count) of a side that is resized to `length`.
struct Window {
    int length, first, count;
};

// Output pixel i of the window is the sum of weights[i * stride + k] * source[starts[i] + k] for k <
// counts[i].
struct Taps {
    int stride = 0;
    std::vector<int> starts, counts, weights;
};

Taps taps_of(int source_length, Window window, Filter filter) {
    const double scale = static_cast<double>(source_length) / window.length;
    const double widening = std::max(scale, 1.0), support = filter.support * widening;
    Taps taps;
    taps.stride = static_cast<int>(std::ceil(support)) * 2 + 1;
    taps.weights.resize(static_cast<std::size_t>(window.count) * static_cast<std::size_t>(taps.stride));
    std::vector<double> exact(static_cast<std::size_t>(taps.stride));
    for (int i = 0; i < window.count; ++i) {
        const double centre = (window.first + i + 0.5) * scale;
        const int start = std::max(static_cast<int>(centre - support + 0.5), 0);
        const int count = std::min(static_cast<int>(centre + support + 0.5), source_length) - start;
        double total = 0.0;
        for (int k = 0; k < count; ++k)
            total += exact[static_cast<std::size_t>(k)] =
                filter.weight((k + start - centre + 0.5) * (1.0 / widening));
        int* weights = &taps.weights[static_cast<std::size_t>(i) * static_cast<std::size_t>(taps.stride)];
        for (int k = 0; k < count; ++k)
            weights[k] = static_cast<int>(
                std::round(exact[static_cast<std::size_t>(k)] / total * (1 << fraction_bits)));
        taps.starts.push_back(start);
        taps.counts.push_back(count);
    }
    return taps;
}

std::uint8_t rounded_byte(int sum) {
    return static_cast<std::uint8_t>(std::clamp(sum >> fraction_bits, 0, 255));
}

constexpr int half = 1 << (fraction_bits - 1);

// source [rows, width, channels] -> [rows, taps, channels]
template <int channels>
void resize_columns(const std::uint8_t* source, int rows, int width, const Taps& taps, std::uint8_t* output) {
    for (int row = 0; row < rows; ++row, source += std::ptrdiff_t{width} * channels)
        for (std::size_t i = 0; i < taps.starts.size(); ++i, output += channels) {
            const int* weights = &taps.weights[i * static_cast<std::size_t>(taps.stride)];
            const std::uint8_t* pixel = source + std::ptrdiff_t{taps.starts[i]} * channels;
            int sums[channels];
            std::fill_n(sums, channels, half);
            for (int k = 0; k < taps.counts[i]; ++k, pixel += channels)
                for (int c = 0; c < channels; ++c) sums[c] += pixel[c] * weights[k];
            for (int c = 0; c < channels; ++c) output[c] = rounded_byte(sums[c]);
        }
}

// source [*, row_bytes], whose first row is the image's row first_row -> [taps, row_bytes]
void resize_rows(const std::uint8_t* source, int first_row, int row_bytes, const Taps& taps,
                 std::uint8_t* output) {
    std::vector<int> sums(static_cast<std::size_t>(row_bytes));
    for (std::size_t i = 0; i < taps.starts.size(); ++i, output += row_bytes) {
        std::fill(sums.begin(), sums.end(), half);
        const std::uint8_t* row = source + std::ptrdiff_t{taps.starts[i] - first_row} * row_bytes;
        for (int k = 0; k < taps.counts[i]; ++k, row += row_bytes) {
            const int weight =
                taps.weights[i * static_cast<std::size_t>(taps.stride) + static_cast<std::size_t>(k)];
            for (int x = 0; x < row_bytes; ++x) sums[static_cast<std::size_t>(x)] += row[x] * weight;
        }
        for (int x = 0; x < row_bytes; ++x) output[x] = rounded_byte(sums[static_cast<std::size_t>(x)]);
    }
}

Image empty_image(int width, int height, int channels) {
    Image image{width, height, channels, {}};
    image.pixels.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
                        static_cast<std::size_t>(channels));
    return image;
}

// The window of the resized image; a row or column outside of it is never computed, so that a very long image
// costs no more than its window.
Image resize(const Image& image, Window columns, Window rows, Filter filter) {
    const Taps column_taps = taps_of(image.width, columns, filter),
               row_taps = taps_of(image.height, rows, filter);
    const int first_row = row_taps.starts.front(), end_row = row_taps.starts.back() + row_taps.counts.back();
    Image narrow = empty_image(columns.count, end_row - first_row, image.channels);
    const std::uint8_t* source =
        image.pixels.data() + std::ptrdiff_t{first_row} * image.width * image.channels;
    const auto resize_columns_of = image.channels == 1 ? resize_columns<1> : resize_columns<3>;
    resize_columns_of(source, narrow.height, image.width, column_taps, narrow.pixels.data());
    Image result = empty_image(columns.count, rows.count, image.channels);
    resize_rows(narrow.pixels.data(), first_row, columns.count * image.channels, row_taps,
                result.pixels.data());
    return result;
}

Window whole(int length) {
    return {length, 0, length};
}

Image cut(const Image& image, int left, int top, int width, int height) {
    Image result = empty_image(width, height, image.channels);
    const std::ptrdiff_t row_bytes = std::ptrdiff_t{width} * image.channels;
    for (int y = 0; y < height; ++y)
        std::copy_n(image.pixels.data() + (std::ptrdiff_t{top + y} * image.width + left) * image.channels,
                    row_bytes, result.pixels.data() + y * row_bytes);
    return result;
}

bool is_to_be_halved(int source_width, int source_height, int width, int height) {
    return source_width / 2 >= width && source_height / 2 >= height;
}

// Pixels of a side of `source_length` that pixel i of a side of `resized_length` covers.
PixelRange covered(int i, int source_length, int resized_length) {
    const std::int64_t length = source_length, begin = i * length / resized_length,
                       end = ((i + 1) * length + resized_length - 1) / resized_length;
    return {static_cast<int>(begin), static_cast<int>(end)};
}

}  // namespace

PixelRange CropGeometry::columns(int x) const {
    return covered(left + x, source_width, resized_width);
}

PixelRange CropGeometry::rows(int y) const {
    return covered(top + y, source_height, resized_height);
}

CropGeometry crop_geometry(int source_width, int source_height, int width, int height) {
    if (source_width < 1 || source_height < 1)
        fail("an image of {}x{} pixels cannot be cropped", source_width, source_height);
    if (width < 1 || height < 1) fail("a crop of {}x{} pixels, expected at least 1x1", width, height);
    int halved_width = source_width, halved_height = source_height;
    while (is_to_be_halved(halved_width, halved_height, width, height)) {
        halved_width /= 2;
        halved_height /= 2;
    }
    const double scale =
        std::max(static_cast<double>(width) / halved_width, static_cast<double>(height) / halved_height);
    // Python's round(): half to even.
    const auto resized = [scale](int length) { return static_cast<int>(std::nearbyint(length * scale)); };
    const int resized_width = resized(halved_width), resized_height = resized(halved_height);
    return {source_width,
            source_height,
            resized_width,
            resized_height,
            (resized_width - width) / 2,
            (resized_height - height) / 2};
}

namespace {

void require_channels(const Image& image) {
    if (image.channels != 1 && image.channels != 3)
        fail("an image of {} channels cannot be cropped, expected 1 or 3", image.channels);
}

}  // namespace

Image crop_centre(const Image& image, int width, int height) {
    require_channels(image);
    const CropGeometry geometry = crop_geometry(image.width, image.height, width, height);
    Image halved;
    const Image* current = &image;
    while (is_to_be_halved(current->width, current->height, width, height)) {
        halved = resize(*current, whole(current->width / 2), whole(current->height / 2), box);
        current = &halved;
    }
    if (current->width == geometry.resized_width && current->height == geometry.resized_height)
        return cut(*current, geometry.left, geometry.top, width, height);
    return resize(*current, {geometry.resized_width, geometry.left, width},
                  {geometry.resized_height, geometry.top, height}, bicubic);
}

Image crop_square_lanczos(const Image& image, int size) {
    require_channels(image);
    if (image.width < 1 || image.height < 1)
        fail("an image of {}x{} pixels cannot be cropped", image.width, image.height);
    if (size < 1) fail("a crop of {}x{} pixels, expected at least 1x1", size, size);
    const int side = std::min(image.width, image.height);
    const Image square = cut(image, (image.width - side) / 2, (image.height - side) / 2, side, side);
    if (side == size) return square;
    return resize(square, whole(size), whole(size), lanczos);
}
