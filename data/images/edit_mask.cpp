#include "data/images/edit_mask.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

#include "data/images/crop.h"
#include "data/images/sheet.h"
#include "runtime/base/error.h"

namespace {

// "--box 1,2,3,4", the start of every message about these numbers.
std::string spelled(const char* flag, const std::vector<int>& numbers) {
    return fmt::format("{} {}", flag, fmt::join(numbers, ","));
}

void check_count(const char* flag, const std::vector<int>& numbers, std::size_t expected, const char* names) {
    if (numbers.size() != expected)
        fail_usage("{}: {} numbers, expected {}: {}", spelled(flag, numbers), numbers.size(), expected,
                   names);
}

void check_one_is_given(const EditRequest& request) {
    const int given =
        !request.mask.empty() + !request.box.empty() + !request.outpaint.empty() + !request.uncrop.empty();
    if (given != 1)
        fail_usage(
            "what to redo is given {} times, expected exactly one of --mask, --box, --outpaint, --uncrop",
            given);
}

// A place of the canvas, or of the picture.
struct Rectangle {
    int left, top, width, height;
};

// ---- a part of the picture is redone ----------------------------------------------------------------------

// selected(columns, rows): whether any of these pixels of the picture is selected.
template <class Selected>
std::vector<std::uint8_t> shrunk_mask(const CropGeometry& geometry, int size, Selected selected) {
    std::vector<std::uint8_t> mask;
    for (int y = 0; y < size; ++y)
        for (int x = 0; x < size; ++x) mask.push_back(selected(geometry.columns(x), geometry.rows(y)));
    return mask;
}

bool is_selected(const Image& grey_and_alpha, int x, int y) {
    constexpr int threshold = 128, opaque = 255;
    const std::uint8_t* pixel =
        &grey_and_alpha.pixels[(static_cast<std::size_t>(y) * static_cast<std::size_t>(grey_and_alpha.width) +
                                static_cast<std::size_t>(x)) *
                               2];
    return pixel[0] * pixel[1] >= threshold * opaque;
}

std::vector<std::uint8_t> mask_of_file(const EditRequest& request, const Image& picture,
                                       const CropGeometry& geometry, int size) {
    const std::string name = request.mask.string();
    const Image marks = read_upright_image(request.mask, 2);
    if (marks.width != picture.width || marks.height != picture.height)
        fail_usage("--mask {}: {} x {} pixels, expected {} x {} as {} has", name, marks.width, marks.height,
                   picture.width, picture.height, request.picture.string());
    bool any = false;
    for (int y = 0; y < marks.height && !any; ++y)
        for (int x = 0; x < marks.width && !any; ++x) any = is_selected(marks, x, y);
    if (!any) fail_usage("--mask {}: the mask is empty: no pixel is as bright as 128 of 255", name);
    return shrunk_mask(geometry, size, [&](PixelRange columns, PixelRange rows) {
        for (int y = rows.begin; y < rows.end; ++y)
            for (int x = columns.begin; x < columns.end; ++x)
                if (is_selected(marks, x, y)) return true;
        return false;
    });
}

Rectangle box_within(const EditRequest& request, const Image& picture) {
    const std::string flag = spelled("--box", request.box);
    check_count("--box", request.box, 4, "x,y,width,height");
    const Rectangle box{request.box[0], request.box[1], request.box[2], request.box[3]};
    if (box.width < 1 || box.height < 1)
        fail_usage("{}: a box of {} x {} pixels, expected at least 1 x 1", flag, box.width, box.height);
    const bool inside = box.left >= 0 && box.top >= 0 && box.width <= picture.width - box.left &&
                        box.height <= picture.height - box.top;
    if (!inside)
        fail_usage("{}: reaches out of {}, which has {} x {} pixels", flag, request.picture.string(),
                   picture.width, picture.height);
    return box;
}

std::vector<std::uint8_t> mask_of_box(Rectangle box, const CropGeometry& geometry, int size) {
    return shrunk_mask(geometry, size, [&](PixelRange columns, PixelRange rows) {
        return columns.begin < box.left + box.width && columns.end > box.left &&
               rows.begin < box.top + box.height && rows.end > box.top;
    });
}

EditCanvas canvas_with_hole(const EditRequest& request, const Image& picture, int size) {
    const std::string name = request.picture.string();
    if (picture.width < size || picture.height < size)
        fail("{0}: {1} x {2} pixels, smaller than the model's {3} x {3}", name, picture.width, picture.height,
             size);
    const CropGeometry geometry = crop_geometry(picture.width, picture.height, size, size);
    std::vector<std::uint8_t> mask = request.box.empty()
                                         ? mask_of_file(request, picture, geometry, size)
                                         : mask_of_box(box_within(request, picture), geometry, size);
    if (std::count(mask.begin(), mask.end(), 1) == 0)
        fail_usage(
            "{}: everything selected lies outside of the middle of {} that the model sees: columns {} "
            "to {} and rows {} to {}",
            request.box.empty() ? "--mask " + request.mask.string() : spelled("--box", request.box), name,
            geometry.columns(0).begin, geometry.columns(size - 1).end - 1, geometry.rows(0).begin,
            geometry.rows(size - 1).end - 1);
    return {crop_centre(picture, size), std::move(mask)};
}

// ---- everything around the picture is redone ----------------------------------------------------

Rectangle outpaint_place(const std::vector<int>& outpaint, int size) {
    const std::string flag = spelled("--outpaint", outpaint);
    check_count("--outpaint", outpaint, 4, "north,east,south,west");
    const auto [least, most] = std::minmax_element(outpaint.begin(), outpaint.end());
    // Each side alone is checked before any two are added.
    if (*least < 0 || *most >= size)
        fail_usage("{}: {} pixels on a side, expected 0 to {}", flag, *least < 0 ? *least : *most, size - 1);
    if (*most == 0) fail_usage("{}: no side is extended, expected at least one above 0", flag);
    const int north = outpaint[0], east = outpaint[1], south = outpaint[2], west = outpaint[3];
    if (north + south >= size || east + west >= size)
        fail_usage(
            "{0}: leaves nothing of the model's {1} x {1} pixels to the picture, expected north + south "
            "and east + west below {1}",
            flag, size);
    return {west, north, size - east - west, size - north - south};
}

Rectangle uncrop_place(const std::vector<int>& uncrop, int size) {
    const std::string flag = spelled("--uncrop", uncrop);
    check_count("--uncrop", uncrop, 2, "width,height");
    const int width = uncrop[0], height = uncrop[1];
    if (width < 1 || height < 1 || width > size || height > size)
        fail_usage("{}: a picture of {} x {} pixels, expected 1 x 1 to the model's {} x {}", flag, width,
                   height, size, size);
    if (width == size && height == size)
        fail_usage("{0}: leaves nothing to redo of the model's {1} x {1} pixels", flag, size);
    return {(size - width) / 2, (size - height) / 2, width, height};
}

EditCanvas canvas_around(const EditRequest& request, const Image& picture, Rectangle place, int size) {
    if (picture.width < place.width || picture.height < place.height)
        fail("{}: {} x {} pixels, smaller than the {} x {} that it is to fill", request.picture.string(),
             picture.width, picture.height, place.width, place.height);
    const Image middle = crop_centre(picture, place.width, place.height);
    constexpr std::uint8_t mid_grey = 128;
    const auto pixels = static_cast<std::size_t>(size) * static_cast<std::size_t>(size);
    const auto channels = static_cast<std::size_t>(picture.channels);
    EditCanvas canvas{{size, size, picture.channels, std::vector<std::uint8_t>(pixels * channels, mid_grey)},
                      std::vector<std::uint8_t>(pixels, 1)};
    const std::size_t width = static_cast<std::size_t>(place.width), row_bytes = width * channels;
    for (int y = 0; y < place.height; ++y) {
        const auto start = static_cast<std::size_t>((place.top + y) * size + place.left);
        std::fill_n(canvas.mask.data() + start, width, std::uint8_t{0});
        std::copy_n(middle.pixels.data() + static_cast<std::size_t>(y) * row_bytes, row_bytes,
                    canvas.picture.pixels.data() + start * channels);
    }
    return canvas;
}

Image with_checkerboard(const EditCanvas& canvas) {
    constexpr std::uint8_t dark = 102, light = 153;
    Image image = canvas.picture;
    const int cell = std::max(1, image.width / 16);
    const auto channels = static_cast<std::size_t>(image.channels);
    for (std::size_t i = 0; i < canvas.mask.size(); ++i) {
        if (!canvas.mask[i]) continue;
        const int x = static_cast<int>(i) % image.width, y = static_cast<int>(i) / image.width;
        std::fill_n(image.pixels.data() + i * channels, channels, (x / cell + y / cell) % 2 ? dark : light);
    }
    return image;
}

}  // namespace

EditCanvas make_edit_canvas(const EditRequest& request, int size, int channels) {
    check_one_is_given(request);
    const Image picture = read_upright_image(request.picture, channels);
    if (!request.outpaint.empty())
        return canvas_around(request, picture, outpaint_place(request.outpaint, size), size);
    if (!request.uncrop.empty())
        return canvas_around(request, picture, uncrop_place(request.uncrop, size), size);
    return canvas_with_hole(request, picture, size);
}

Image edit_sheet(const EditCanvas& canvas, std::span<const std::uint8_t> results, int columns) {
    const std::size_t bytes = canvas.picture.pixels.size();
    if (columns < 1 || results.size() % bytes != 0)
        throw std::logic_error(
            fmt::format("a sheet of {} columns and {} bytes of results, expected a "
                        "multiple of {}",
                        columns, results.size(), bytes));
    std::vector<std::uint8_t> images = planar_pixels(canvas.picture);
    const std::vector<std::uint8_t> hole = planar_pixels(with_checkerboard(canvas));
    images.insert(images.end(), hole.begin(), hole.end());
    images.insert(images.end(), results.begin(), results.end());
    return image_sheet(images, canvas.picture.channels, canvas.picture.width,
                       std::min(columns, static_cast<int>(images.size() / bytes)));
}
