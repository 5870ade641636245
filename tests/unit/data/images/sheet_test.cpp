#include "data/images/sheet.h"

#include <doctest/doctest.h>

#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

TEST_CASE("sheet: images in rows, enlarged, two pixels apart on white") {
    std::vector<std::uint8_t> images(3 * 3 * 32 * 32);
    for (std::size_t n = 0; n < 3; ++n)
        std::fill_n(images.begin() + static_cast<std::ptrdiff_t>(n * 3072), 3072, 50 * (n + 1));
    const Image sheet = image_sheet(images, 3, 32, 2);
    REQUIRE(sheet.width == 2 + 2 * 66);
    REQUIRE(sheet.height == 2 + 2 * 66);
    const auto at = [&](int x, int y) {
        return sheet.pixels[static_cast<std::size_t>((y * sheet.width + x) * 3)];
    };
    CHECK(at(0, 0) == 255);
    CHECK(at(2, 2) == 50);
    CHECK(at(65, 65) == 50);
    CHECK(at(66, 2) == 255);
    CHECK(at(68, 2) == 100);
    CHECK(at(2, 68) == 150);
    CHECK(at(68, 68) == 255);
    const Image wide = image_sheet(images, 3, 32, 1'000'000'000);
    CHECK(wide.width == 2 + 3 * 66);
    CHECK(wide.height == 2 + 66);
}

TEST_CASE("sheet: one that no PNG file can hold is refused before anything is drawn") {
    CHECK_NOTHROW(require_sheet(1000, 3, 256, 10));
    CHECK_NOTHROW(require_sheet(40'000, 3, 32, 200));
    CHECK_THROWS_WITH_AS(
        require_sheet(50'000, 3, 256, 200),
        "a sheet of 50000 images would have 51602x64502 pixels, too many for a PNG file (1073741824 bytes at "
        "most)",
        UsageError);
    CHECK_THROWS_AS(require_sheet(1'000'000, 3, 16, 1000), UsageError);
}

TEST_CASE("sheet: an image keeps its pixels through a PNG file") {
    const TemporaryFolder folder;
    std::vector<std::uint8_t> pixels(3 * 6 * 6);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(37 * i);
    const Image image = interleaved_image(pixels, 3, 6);
    CHECK(image.pixels[3 * 7 + 1] == pixels[36 + 7]);
    write_png(folder / "a picture.png", image);
    CHECK(read_image(folder / "a picture.png", 3).pixels == image.pixels);
    CHECK_THROWS_AS(read_image(folder / "none.png", 3), Error);
}

TEST_CASE("sheet: enlarging repeats every pixel") {
    const Image image{2, 2, 3, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
    const Image large = enlarge(image, 3);
    REQUIRE(large.width == 6);
    REQUIRE(large.height == 6);
    REQUIRE(large.pixels.size() == 6 * 6 * 3);
    for (int y = 0; y < 6; ++y)
        for (int x = 0; x < 6; ++x)
            for (int c = 0; c < 3; ++c)
                CHECK(large.pixels[static_cast<std::size_t>((y * 6 + x) * 3 + c)] ==
                      image.pixels[static_cast<std::size_t>((y / 3 * 2 + x / 3) * 3 + c)]);
    CHECK(enlarge(image, 1).pixels == image.pixels);
    CHECK_THROWS_AS(enlarge(image, 0), std::logic_error);
}
