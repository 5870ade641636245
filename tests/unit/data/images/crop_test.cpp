#include "data/images/crop.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/files/safetensors.h"
#include "tests/golden/golden_file.h"

TEST_CASE("crop: eight pictures byte for byte as PIL crops them") {
    const SafetensorsFile golden(GoldenFile("crop.safetensors").path());
    for (int k = 0; k < 8; ++k) {
        CAPTURE(k);
        const std::string input = "input." + std::to_string(k), output = "crop." + std::to_string(k);
        const auto& shape = golden.entry(input).shape;
        const auto pixels = golden.bytes_u8(input);
        const Image image{
            static_cast<int>(shape[1]), static_cast<int>(shape[0]), 3, {pixels.begin(), pixels.end()}};
        const auto size = static_cast<int>(golden.entry(output).shape[0]);
        const Image cropped = crop_centre(image, size);
        CHECK(cropped.width == size);
        CHECK(cropped.height == size);
        CHECK(std::ranges::equal(cropped.pixels, golden.bytes_u8(output)));
    }
}

TEST_CASE("crop: MS-COCO's, eight pictures byte for byte as PIL crops them") {
    const SafetensorsFile inputs(GoldenFile("crop.safetensors").path()),
        golden("tests/golden/crop_lanczos.safetensors");
    for (int k = 0; k < 8; ++k) {
        CAPTURE(k);
        const std::string input = "input." + std::to_string(k), output = "coco." + std::to_string(k);
        const auto& shape = inputs.entry(input).shape;
        const auto pixels = inputs.bytes_u8(input);
        const Image image{
            static_cast<int>(shape[1]), static_cast<int>(shape[0]), 3, {pixels.begin(), pixels.end()}};
        const auto size = static_cast<int>(golden.entry(output).shape[0]);
        const Image cropped = crop_square_lanczos(image, size);
        CHECK(cropped.width == size);
        CHECK(cropped.height == size);
        CHECK(std::ranges::equal(cropped.pixels, golden.bytes_u8(output)));
    }
}

TEST_CASE(
    "crop: MS-COCO's cuts the middle square, its offset rounded down, and keeps flat and straight parts") {
    Image image{9, 4, 1, {}};
    for (int i = 0; i < 9 * 4; ++i) image.pixels.push_back(static_cast<std::uint8_t>(i * 7));
    const Image cut = crop_square_lanczos(image, 4);  // columns 2 to 5
    REQUIRE(cut.pixels.size() == 16);
    for (int i = 0; i < 16; ++i)
        CHECK(cut.pixels[static_cast<std::size_t>(i)] ==
              image.pixels[static_cast<std::size_t>(i / 4 * 9 + 2 + i % 4)]);

    const Image flat{30, 50, 3, std::vector<std::uint8_t>(30 * 50 * 3, 77)};
    for (const int size : {1, 7, 30, 91})
        CHECK(std::ranges::all_of(crop_square_lanczos(flat, size).pixels, [](int v) { return v == 77; }));

    Image ramp{100, 140, 1, {}};
    for (int i = 0; i < 100 * 140; ++i) ramp.pixels.push_back(static_cast<std::uint8_t>(i % 100 + i / 100));
    const Image half = crop_square_lanczos(ramp, 50);  // rows 20 to 119
    for (int y = 5; y < 45; ++y)
        for (int x = 5; x < 45; ++x)
            CHECK(std::abs(half.pixels[static_cast<std::size_t>(y * 50 + x)] - (2 * x + 2 * y + 21)) <= 1);
    // An edge overshoots on both sides, within the range of a byte.
    Image edge{64, 64, 1, {}};
    for (int i = 0; i < 64 * 64; ++i) edge.pixels.push_back(i % 64 < 32 ? 50 : 200);
    const Image sharp = crop_square_lanczos(edge, 33);
    const auto [least, most] = std::ranges::minmax(sharp.pixels);
    CHECK(least < 50);
    CHECK(most > 200);
}

TEST_CASE("crop: a rectangle is what its scaled picture covers, cut out of the middle") {
    Image image{26, 9, 1, {}};
    for (int i = 0; i < 26 * 9; ++i) image.pixels.push_back(static_cast<std::uint8_t>(i * 31));
    CHECK(crop_centre(image, 26, 9).pixels == image.pixels);

    const Image cut = crop_centre(image, 15, 9);  // the height fits already: columns 5 to 19
    REQUIRE(cut.width == 15);
    REQUIRE(cut.height == 9);
    for (int y = 0; y < 9; ++y)
        CHECK(std::equal(cut.pixels.begin() + y * 15, cut.pixels.begin() + (y + 1) * 15,
                         image.pixels.begin() + y * 26 + 5));

    // Blocks of four by four equal pixels, one value each: two halvings leave exactly these.
    Image blocks{4 * 7, 4 * 3, 1, {}};
    for (int y = 0; y < blocks.height; ++y)
        for (int x = 0; x < blocks.width; ++x)
            blocks.pixels.push_back(static_cast<std::uint8_t>(y / 4 * 70 + x / 4 * 10));
    const Image halved = crop_centre(blocks, 5, 3);
    REQUIRE(halved.pixels.size() == 15);
    for (int i = 0; i < 15; ++i)
        CHECK(halved.pixels[static_cast<std::size_t>(i)] == i / 5 * 70 + (i % 5 + 1) * 10);

    // A horizontal ramp remains a ramp for any shape, with the slope of the scale.
    Image ramp{200, 50, 1, {}};
    for (int i = 0; i < 200 * 50; ++i) ramp.pixels.push_back(static_cast<std::uint8_t>(i % 200));
    const Image narrow = crop_centre(ramp, 12, 30);  // scaled by 0.6 to 120 x 30
    for (int x = 0; x < 12; ++x)
        CHECK(narrow.pixels[static_cast<std::size_t>(x)] ==
              doctest::Approx((54 + x + 0.5) / 0.6 - 0.5).epsilon(0.02));
}

TEST_CASE("crop: the geometry covers the picture without gaps and within its sides") {
    for (const auto& [width, height] : {std::pair{5, 3}, {16, 16}, {7, 20}, {1, 1}})
        for (int source_width = 1; source_width < 120; source_width += 7)
            for (int source_height = 1; source_height < 90; source_height += 4) {
                CAPTURE(source_width);
                CAPTURE(source_height);
                CAPTURE(width);
                const CropGeometry geometry = crop_geometry(source_width, source_height, width, height);
                REQUIRE(geometry.left >= 0);
                REQUIRE(geometry.left + width <= geometry.resized_width);
                REQUIRE(geometry.top >= 0);
                REQUIRE(geometry.top + height <= geometry.resized_height);
                CHECK((geometry.resized_width == width || geometry.resized_height == height));
                for (int x = 0; x < width; ++x) {
                    const PixelRange columns = geometry.columns(x);
                    REQUIRE(columns.begin >= 0);
                    REQUIRE(columns.begin < columns.end);
                    REQUIRE(columns.end <= source_width);
                    if (x > 0) REQUIRE(columns.begin <= geometry.columns(x - 1).end);
                    if (x > 0) REQUIRE(columns.begin + 1 >= geometry.columns(x - 1).end);
                }
                if (geometry.resized_width == width) {
                    REQUIRE(geometry.columns(0).begin == 0);
                    REQUIRE(geometry.columns(width - 1).end == source_width);
                }
                if (geometry.resized_height == height) {
                    REQUIRE(geometry.rows(0).begin == 0);
                    REQUIRE(geometry.rows(height - 1).end == source_height);
                }
            }
}

TEST_CASE("crop: nothing, or of nothing, is refused") {
    const Image image{2, 2, 1, {1, 2, 3, 4}};
    CHECK_THROWS_AS(crop_centre(image, 0), Error);
    CHECK_THROWS_AS(crop_centre(image, 1, 0), Error);
    CHECK_THROWS_AS(crop_centre(Image{0, 2, 1, {}}, 1), Error);
    CHECK_THROWS_AS(crop_centre(Image{1, 1, 2, {1, 2}}, 1), Error);
    CHECK_THROWS_AS(crop_square_lanczos(image, 0), Error);
    CHECK_THROWS_AS(crop_square_lanczos(Image{0, 2, 1, {}}, 1), Error);
    CHECK_THROWS_AS(crop_square_lanczos(Image{1, 1, 2, {1, 2}}, 1), Error);
}
