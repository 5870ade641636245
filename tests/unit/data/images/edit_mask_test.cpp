#include "data/images/edit_mask.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <stdexcept>

#include "data/images/crop.h"
#include "data/images/sheet.h"
#include "runtime/base/error.h"
#include "runtime/files/atomic_file.h"
#include "tests/unit/temporary_folder.h"

// Declared only: the functions are compiled with data/images/image_file.cpp.
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace {

Image noise(int width, int height, int channels, unsigned seed = 1) {
    std::mt19937 engine(seed);
    Image image{width, height, channels, {}};
    image.pixels.resize(static_cast<std::size_t>(width * height * channels));
    for (std::uint8_t& value : image.pixels) value = static_cast<std::uint8_t>(engine());
    return image;
}

Image black(int width, int height, int channels) {
    return {width, height, channels,
            std::vector<std::uint8_t>(static_cast<std::size_t>(width * height * channels))};
}

// Every kind of PNG that masks come as; write_png() writes grey and RGB only.
void write_mask(const std::filesystem::path& path, const Image& image) {
    const auto write = [](void* file, void* bytes, int size) {
        static_cast<AtomicFile*>(file)->write(bytes, static_cast<std::size_t>(size));
    };
    AtomicFile file(path);
    REQUIRE(stbi_write_png_to_func(write, &file, image.width, image.height, image.channels,
                                   image.pixels.data(), image.width * image.channels));
    file.commit();
}

std::uint8_t& at(Image& image, int x, int y, int channel = 0) {
    return image.pixels[static_cast<std::size_t>((y * image.width + x) * image.channels + channel)];
}

// A folder with picture.png in it, and requests about that.
class Fixture {
  public:
    explicit Fixture(const Image& image) { write_png(picture(), image); }

    std::filesystem::path picture() const { return folder_ / "picture.png"; }
    std::filesystem::path mask_path() const { return folder_ / "mask.png"; }

    EditRequest mask(const Image& image) const {
        write_mask(mask_path(), image);
        return {picture(), mask_path(), {}, {}, {}};
    }
    EditRequest box(std::vector<int> numbers) const { return {picture(), {}, std::move(numbers), {}, {}}; }
    EditRequest outpaint(std::vector<int> numbers) const {
        return {picture(), {}, {}, std::move(numbers), {}};
    }
    EditRequest uncrop(std::vector<int> numbers) const { return {picture(), {}, {}, {}, std::move(numbers)}; }

  private:
    TemporaryFolder folder_;
};

// The message of a usage error ("usage: ...") or another one ("error: ..."), without the folder's name.
std::string refusal(const EditRequest& request, int size = 32) {
    std::string kind, message;
    try {
        make_edit_canvas(request, size, 3);
    } catch (const UsageError& error) {
        kind = "usage: ", message = error.what();
    } catch (const Error& error) {
        kind = "error: ", message = error.what();
    }
    const std::string folder = request.picture.parent_path().string() + "/";
    for (std::size_t found; (found = message.find(folder)) != std::string::npos;)
        message.erase(found, folder.size());
    return kind + message;
}

std::ptrdiff_t redone(const EditCanvas& canvas) {
    return std::count(canvas.mask.begin(), canvas.mask.end(), 1);
}

// Whether the canvas contains the picture with its upper left corner at (left, top), known, surrounded by
// mid-grey to redo.
bool stands_in(const EditCanvas& canvas, Image picture, int left, int top) {
    Image image = canvas.picture;
    for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < image.width; ++x) {
            const bool inside = x >= left && x < left + picture.width && y >= top && y < top + picture.height;
            if (canvas.mask[static_cast<std::size_t>(y * image.width + x)] != (inside ? 0 : 1)) return false;
            for (int c = 0; c < image.channels; ++c)
                if (at(image, x, y, c) != (inside ? at(picture, x - left, y - top, c) : 128)) return false;
        }
    return true;
}

}  // namespace

TEST_CASE("edit mask: a box of a picture of the model's size, to the pixel") {
    const Image image = noise(32, 32, 3);
    const Fixture fixture(image);
    std::mt19937 engine(7);
    const auto below = [&](int end) { return static_cast<int>(engine() % static_cast<unsigned>(end)); };
    for (int trial = 0; trial < 40; ++trial) {
        const int x = below(32), y = below(32), width = 1 + below(32 - x), height = 1 + below(32 - y);
        CAPTURE(x);
        CAPTURE(y);
        CAPTURE(width);
        CAPTURE(height);
        const EditCanvas canvas = make_edit_canvas(fixture.box({x, y, width, height}), 32, 3);
        CHECK(canvas.picture.pixels == image.pixels);
        REQUIRE(canvas.mask.size() == 32 * 32);
        CHECK(redone(canvas) == width * height);
        bool all = true;
        for (int row = y; row < y + height; ++row)
            for (int column = x; column < x + width; ++column)
                all = all && canvas.mask[static_cast<std::size_t>(row * 32 + column)] == 1;
        CHECK(all);
    }
    CHECK(make_edit_canvas(fixture.box({0, 0, 32, 32}), 32, 1).picture.channels == 1);
}

TEST_CASE("edit mask: grey, RGB and RGBA masks select what is light and opaque") {
    const Fixture fixture(noise(32, 32, 3));
    Image grey = black(32, 32, 1);
    at(grey, 3, 5) = 128;
    at(grey, 4, 5) = 127;
    at(grey, 31, 31) = 255;
    const EditCanvas canvas = make_edit_canvas(fixture.mask(grey), 32, 3);
    CHECK(redone(canvas) == 2);
    CHECK(canvas.mask[5 * 32 + 3] == 1);
    CHECK(canvas.mask[31 * 32 + 31] == 1);

    for (const int channels : {3, 4}) {
        Image colour = black(32, 32, channels);
        const auto paint = [&](int x, int red, int green, int blue, int alpha) {
            const int samples[] = {red, green, blue, alpha};
            for (int c = 0; c < channels; ++c) at(colour, x, 0, c) = static_cast<std::uint8_t>(samples[c]);
        };
        paint(0, 255, 255, 255, 255);
        paint(1, 0, 255, 0, 255);  // green is light
        paint(2, 0, 0, 255, 255);  // blue is dark
        paint(3, 255, 255, 255, 0);
        paint(4, 255, 255, 255, 128);
        paint(5, 255, 255, 255, 127);
        const EditCanvas coloured = make_edit_canvas(fixture.mask(colour), 32, 3);
        const auto first = coloured.mask.begin();
        const std::vector<std::uint8_t> expected = channels == 3
                                                       ? std::vector<std::uint8_t>{1, 1, 0, 1, 1, 1}
                                                       : std::vector<std::uint8_t>{1, 1, 0, 0, 1, 0};
        CHECK(std::vector<std::uint8_t>(first, first + 6) == expected);
        CHECK(redone(coloured) == std::count(expected.begin(), expected.end(), 1));
    }
}

TEST_CASE("edit mask: a large picture is cropped, and the mask goes with it") {
    const int sizes[][2] = {{16, 17}, {31, 16}, {45, 71}, {64, 64}, {130, 47}, {33, 200}};
    for (const auto& [width, height] : sizes) {
        CAPTURE(width);
        CAPTURE(height);
        const Image image = noise(width, height, 3);
        const Fixture fixture(image);
        std::mt19937 engine(3);
        // The middle square that is brought to 16 x 16, as real numbers.
        const double scale = 16.0 / std::min(width, height);
        for (int trial = 0; trial < 20; ++trial) {
            const int x = static_cast<int>(engine() % static_cast<unsigned>(width)),
                      y = static_cast<int>(engine() % static_cast<unsigned>(height));
            CAPTURE(x);
            CAPTURE(y);
            Image marks = black(width, height, 1);
            at(marks, x, y) = 255;
            const double column = (x + 0.5 - width / 2.0) * scale + 8,
                         row = (y + 0.5 - height / 2.0) * scale + 8;
            // The resized long side is rounded to whole pixels, and so is where the crop starts.
            const bool surely_inside = column > 1.5 && column < 14.5 && row > 1.5 && row < 14.5;
            const bool surely_outside = column < -1.5 || column > 17.5 || row < -1.5 || row > 17.5;
            if (surely_outside)
                CHECK(refusal(fixture.mask(marks), 16).find("lies outside of the middle") !=
                      std::string::npos);
            if (!surely_inside) continue;
            const EditCanvas canvas = make_edit_canvas(fixture.mask(marks), 16, 3);
            CHECK(canvas.picture.pixels == crop_centre(image, 16).pixels);
            CHECK(redone(canvas) >= 1);
            CHECK(redone(canvas) <= 4);  // a source pixel lies across at most two columns and two rows
            for (int i = 0; i < 256; ++i)
                if (canvas.mask[static_cast<std::size_t>(i)]) {
                    CHECK(std::abs(i % 16 + 0.5 - column) < 2.0);
                    CHECK(std::abs(i / 16 + 0.5 - row) < 2.0);
                }
            CHECK(make_edit_canvas(fixture.box({x, y, 1, 1}), 16, 3).mask == canvas.mask);
        }
    }
}

TEST_CASE("edit mask: with whole halvings nothing of a marked pixel is left in a known one") {
    Image image = noise(64, 64, 3);
    const Fixture fixture(image);
    const std::vector<int> box{13, 21, 22, 9};
    const EditCanvas before = make_edit_canvas(fixture.box(box), 16, 3);
    CHECK(redone(before) == 6 * 3);  // columns 12..35 and rows 20..31 in blocks of four
    for (int y = 21; y < 30; ++y)
        for (int x = 13; x < 35; ++x) at(image, x, y) ^= 0xFF;
    write_png(fixture.picture(), image);
    const EditCanvas after = make_edit_canvas(fixture.box(box), 16, 3);
    CHECK(before.picture.pixels != after.picture.pixels);
    for (std::size_t i = 0; i < 256; ++i)
        if (!before.mask[i])
            for (std::size_t c = 0; c < 3; ++c)
                CHECK(before.picture.pixels[i * 3 + c] == after.picture.pixels[i * 3 + c]);
}

TEST_CASE("edit mask: outpainting adds to the sides, the picture fills what they leave") {
    const Image exact = noise(24, 23, 3), large = noise(61, 40, 3), square = noise(100, 70, 1);
    const Fixture fits(exact), shrinks(large), grey(square);
    CHECK(stands_in(make_edit_canvas(fits.outpaint({4, 8, 5, 0}), 32, 3), exact, 0, 4));
    CHECK(stands_in(make_edit_canvas(fits.outpaint({9, 0, 0, 8}), 32, 3), exact, 8, 9));
    CHECK(stands_in(make_edit_canvas(shrinks.outpaint({20, 1, 1, 11}), 32, 3), crop_centre(large, 20, 11), 11,
                    20));
    CHECK(stands_in(make_edit_canvas(grey.outpaint({0, 12, 12, 0}), 32, 1), crop_centre(square, 20), 0, 0));
    CHECK(stands_in(make_edit_canvas(fits.outpaint({31, 31, 0, 0}), 32, 3), crop_centre(exact, 1), 0, 31));
}

TEST_CASE("edit mask: uncropping places the picture in the middle") {
    const Image exact = noise(16, 10, 3), large = noise(61, 40, 3);
    const Fixture fits(exact), shrinks(large);
    CHECK(stands_in(make_edit_canvas(fits.uncrop({16, 10}), 32, 3), exact, 8, 11));
    CHECK(stands_in(make_edit_canvas(shrinks.uncrop({20, 20}), 32, 3), crop_centre(large, 20), 6, 6));
    CHECK(stands_in(make_edit_canvas(shrinks.uncrop({32, 7}), 32, 3), crop_centre(large, 32, 7), 0, 12));
}

TEST_CASE("edit mask: what cannot be done is refused in one line") {
    const Fixture fixture(noise(32, 32, 3)), small(noise(20, 30, 3)), wide(noise(64, 32, 3));
    EditRequest both = fixture.box({0, 0, 1, 1});
    both.uncrop = {8, 8};
    const std::string one_of = ", expected exactly one of --mask, --box, --outpaint, --uncrop";
    CHECK(refusal(both) == "usage: what to redo is given 2 times" + one_of);
    CHECK(refusal(fixture.box({})) == "usage: what to redo is given 0 times" + one_of);
    CHECK(refusal({"none.png", {}, {0, 0, 1, 1}, {}, {}}) ==
          "error: none.png: cannot be opened: No such file or directory");
    CHECK(refusal({fixture.picture(), "no mask.png", {}, {}, {}}) ==
          "error: no mask.png: cannot be opened: No such file or directory");

    CHECK(refusal(fixture.mask(noise(20, 30, 1))) ==
          "usage: --mask mask.png: 20 x 30 pixels, expected 32 x 32 as picture.png has");
    CHECK(refusal(fixture.mask(black(32, 32, 1))) ==
          "usage: --mask mask.png: the mask is empty: no pixel is as bright as 128 of 255");
    const std::string too_small = "error: picture.png: 20 x 30 pixels, smaller than the model's 32 x 32";
    CHECK(refusal(small.box({0, 0, 1, 1})) == too_small);
    CHECK(refusal(small.mask(noise(20, 30, 1))) == too_small);

    CHECK(refusal(fixture.box({1, 2, 3})) == "usage: --box 1,2,3: 3 numbers, expected 4: x,y,width,height");
    CHECK(refusal(fixture.box({1, 2, 0, 3})) ==
          "usage: --box 1,2,0,3: a box of 0 x 3 pixels, expected at least 1 x 1");
    for (const std::vector<int>& box : std::vector<std::vector<int>>{{-1, 0, 2, 2},
                                                                     {0, -1, 2, 2},
                                                                     {31, 0, 2, 1},
                                                                     {0, 31, 1, 2},
                                                                     {2, 2, 2147483647, 1},
                                                                     {2, 2, 1, 2147483647}})
        CHECK(refusal(fixture.box(box)).ends_with(": reaches out of picture.png, which has 32 x 32 pixels"));
    CHECK(refusal(wide.box({0, 0, 16, 32})) ==
          "usage: --box 0,0,16,32: everything selected lies outside of the middle of picture.png that the "
          "model "
          "sees: columns 16 to 47 and rows 0 to 31");
    CHECK(refusal(wide.box({15, 0, 2, 1})) == "");

    CHECK(refusal(fixture.outpaint({1, 2})) ==
          "usage: --outpaint 1,2: 2 numbers, expected 4: north,east,south,west");
    CHECK(refusal(fixture.outpaint({1, 2, -3, 4})) ==
          "usage: --outpaint 1,2,-3,4: -3 pixels on a side, expected 0 to 31");
    CHECK(refusal(fixture.outpaint({1, 2147483647, 3, 4})) ==
          "usage: --outpaint 1,2147483647,3,4: 2147483647 pixels on a side, expected 0 to 31");
    CHECK(refusal(fixture.outpaint({0, 0, 0, 0})) ==
          "usage: --outpaint 0,0,0,0: no side is extended, expected at least one above 0");
    const std::string nothing_left =
        ": leaves nothing of the model's 32 x 32 pixels to the picture, expected north + south and east + "
        "west "
        "below 32";
    CHECK(refusal(fixture.outpaint({16, 0, 16, 0})) == "usage: --outpaint 16,0,16,0" + nothing_left);
    CHECK(refusal(fixture.outpaint({0, 1, 0, 31})) == "usage: --outpaint 0,1,0,31" + nothing_left);
    CHECK(refusal(small.outpaint({1, 1, 1, 1})) ==
          "error: picture.png: 20 x 30 pixels, smaller than the 30 x 30 that it is to fill");

    CHECK(refusal(fixture.uncrop({8})) == "usage: --uncrop 8: 1 numbers, expected 2: width,height");
    for (const std::vector<int>& uncrop : std::vector<std::vector<int>>{{0, 8}, {8, 0}, {33, 8}, {8, 33}})
        CHECK(refusal(fixture.uncrop(uncrop)).ends_with("expected 1 x 1 to the model's 32 x 32"));
    CHECK(refusal(fixture.uncrop({32, 32})) ==
          "usage: --uncrop 32,32: leaves nothing to redo of the model's 32 x 32 pixels");
    CHECK(refusal(small.uncrop({21, 4})) ==
          "error: picture.png: 20 x 30 pixels, smaller than the 21 x 4 that it is to fill");
}

TEST_CASE("edit mask: the sheet shows the picture, the hole and the results") {
    const Image image = noise(32, 32, 3), result = noise(32, 32, 3, 2);
    const Fixture fixture(image);
    const EditCanvas canvas = make_edit_canvas(fixture.box({2, 3, 20, 10}), 32, 3);
    std::vector<std::uint8_t> results = planar_pixels(result);
    Image sheet = edit_sheet(canvas, results, 8);
    REQUIRE(sheet.width == 3 * 66 + 2);
    REQUIRE(sheet.height == 66 + 2);
    int greys[256] = {};
    for (int y = 0; y < 64; ++y)
        for (int x = 0; x < 64; ++x) {
            const int place = (y / 2 * 32 + x / 2) * 3;
            const bool hole = canvas.mask[static_cast<std::size_t>(place / 3)] == 1;
            for (int c = 0; c < 3; ++c) {
                const auto i = static_cast<std::size_t>(place + c);
                REQUIRE(at(sheet, 2 + x, 2 + y, c) == image.pixels[i]);
                REQUIRE(at(sheet, 134 + x, 2 + y, c) == result.pixels[i]);
                if (!hole) REQUIRE(at(sheet, 68 + x, 2 + y, c) == image.pixels[i]);
                if (hole) ++greys[at(sheet, 68 + x, 2 + y, c)];
            }
        }
    CHECK(greys[102] == 20 * 10 * 4 * 3 / 2);
    CHECK(greys[153] == 20 * 10 * 4 * 3 / 2);

    const std::vector<std::uint8_t> once = results;
    results.insert(results.end(), once.begin(), once.end());
    CHECK(edit_sheet(canvas, results, 2).height == 2 * 66 + 2);
    CHECK(edit_sheet(canvas, {}, 2).width == 2 * 66 + 2);
    CHECK_THROWS_AS(edit_sheet(canvas, results, 0), std::logic_error);
    results.pop_back();
    CHECK_THROWS_AS(edit_sheet(canvas, results, 2), std::logic_error);
}
