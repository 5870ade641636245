#include "data/fractals/fractal_caption.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "data/fractals/fractal_palettes.h"
#include "data/fractals/fractals.h"
#include "data/records/checksum.h"
#include "runtime/base/error.h"

namespace {

std::vector<std::uint8_t> drawn(int size, int class_index, std::uint64_t index, FractalColours colours) {
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(3 * size * size));
    draw_fractal(pixels.data(), size, class_index, 3, index, colours);
    return pixels;
}

bool has_word(const std::string& text, const std::string& word) {
    return (" " + text + " ").find(" " + word + " ") != std::string::npos ||
           text.find(" " + word + ",") != std::string::npos;
}

}  // namespace

TEST_CASE("fractal captions: the pictures in their own colours are the same bytes as ever") {
    std::uint32_t checksum = 0;
    for (std::uint64_t index = 0; index < 200; ++index) {
        const auto pixels = drawn(16, static_cast<int>(index % fractal_classes), index, FractalColours::own);
        checksum = checksum_of(checksum, pixels.data(), pixels.size());
    }
    CHECK(checksum == 577961254);
}

TEST_CASE("fractal captions: colours by their names") {
    const std::map<std::uint32_t, std::string> names = {
        {0x000000, "black"},  {0x2a2a2a, "black"},  {0x808080, "grey"}, {0xffffff, "white"},
        {0xf7f0df, "cream"},  {0xff0000, "red"},    {0x8b0000, "red"},  {0xff8000, "orange"},
        {0xffff00, "yellow"}, {0x00c000, "green"},  {0x008080, "teal"}, {0x0000ff, "blue"},
        {0x87ceeb, "blue"},   {0x800080, "purple"}, {0xff69b4, "pink"}, {0x8b4513, "brown"},
        {0x1d7f5f, "green"},  {0x9370db, "purple"}, {0xffc0cb, "pink"}, {0x40e0d0, "teal"}};
    for (const auto& [colour, name] : names) {
        CAPTURE(name);
        CHECK(colour_name(colour) == name);
    }
    CHECK(background_words(0x0b332d) == "dark green");
    CHECK(background_words(0x3a1d54) == "dark purple");
    CHECK(background_words(0x101014) == "black");
    CHECK(background_words(0x1c3a76) == "blue");
    const std::vector<std::uint32_t> mostly_red{0xff0000, 0xee0000, 0xdd0000, 0x0000ff},
        red_and_blue{0x0000ff, 0xff0000, 0xee0000, 0x0000ee};
    CHECK(palette_words(mostly_red) == "red");
    CHECK(palette_words(red_and_blue) == "red and blue");
}

TEST_CASE("fractal captions: a palette is called what its colours are called") {
    std::set<std::string_view> names;
    for (const NamedPalette& palette : fractal_palettes()) {
        CHECK(colour_name(palette.shades[2]) == palette.name);
        names.insert(palette.name);
    }
    CHECK(names.size() == fractal_palette_count);
    CHECK(background_words(plain_backgrounds()[0][2]) == "black");
    CHECK(background_words(plain_backgrounds()[1][2]) == "white");
}

// By the colours of pixels that are neither black nor white; of trees, whose sky is always blue, the leaves
// alone.
TEST_CASE("fractal captions: pictures have the palette that their description says") {
    constexpr int size = 32, count = 200;
    constexpr std::size_t plane = size * size;
    int right = 0;
    std::map<std::string, int> palettes;
    for (std::uint64_t index = 0; index < count; ++index) {
        const int class_index = static_cast<int>(index % fractal_classes);
        const FractalDescription description = describe_fractal(class_index, 3, index, FractalColours::any);
        CHECK(description.palette_name == fractal_palette_name(fractal_palette(class_index, 3, index)));
        ++palettes[description.palette_name];
        const auto pixels = drawn(size, class_index, index, FractalColours::any);
        std::map<std::string_view, int> names;
        for (std::size_t i = 0; i < (description.kind == "tree" ? plane / 2 : plane); ++i) {
            const std::string_view name = colour_name(
                static_cast<std::uint32_t>(pixels[i] << 16 | pixels[plane + i] << 8 | pixels[2 * plane + i]));
            const bool is_sky = description.kind == "tree" && name == "blue" && pixels[i] > 110;
            if (name != "black" && name != "white" && name != "cream" && !is_sky) ++names[name];
        }
        const auto most = std::ranges::max_element(names, {}, [](const auto& each) { return each.second; });
        right += most != names.end() && most->first == description.palette_name;
    }
    CHECK(right > count * 9 / 10);
    CHECK(palettes.size() == fractal_palette_count);
}

TEST_CASE(
    "fractal captions: the composition is the same in all colours, and the colours of a picture at all "
    "sizes") {
    for (std::uint64_t index = 0; index < 40; ++index) {
        const int class_index = static_cast<int>(index % fractal_classes);
        const FractalDescription own = describe_fractal(class_index, 3, index),
                                 any = describe_fractal(class_index, 3, index, FractalColours::any);
        CHECK(own.kind == any.kind);
        CHECK(own.size_name == any.size_name);
        CHECK(own.detail == any.detail);
        CHECK(own.background_name.empty() == any.background_name.empty());
        CHECK(drawn(16, class_index, index, FractalColours::own) !=
              drawn(16, class_index, index, FractalColours::any));
        CHECK(drawn(16, class_index, index, FractalColours::any) ==
              drawn(16, class_index, index, FractalColours::any));
    }
    CHECK_THROWS_AS(describe_fractal(fractal_classes, 0, 0), Error);
    CHECK_THROWS_AS(fractal_palette(-1, 0, 0), Error);
}

TEST_CASE("fractal captions: three, of more and more words, that say what the description says") {
    std::set<std::string> distinct;
    for (const FractalColours colours : {FractalColours::own, FractalColours::any})
        for (std::uint64_t index = 0; index < 300; ++index) {
            const FractalDescription description =
                describe_fractal(static_cast<int>(index % fractal_classes), 3, index, colours);
            const auto captions = fractal_captions(description, 3, index);
            CHECK(fractal_captions(description, 3, index) == captions);
            for (const std::string& caption : captions) {
                CAPTURE(caption);
                distinct.insert(caption);
                CHECK((has_word(caption, description.palette_name) || has_word(caption, "many colours")));
                CHECK(caption.find("  ") == std::string::npos);
                CHECK(caption.find("a orange") == std::string::npos);
                CHECK(caption.find("an red") == std::string::npos);
            }
            CAPTURE(captions[2]);
            CHECK(captions[2].find(description.size_name) != std::string::npos);
            CHECK(captions[2].find(description.detail) != std::string::npos);
            CHECK(captions[2].find(description.background_name) != std::string::npos);
        }
    CHECK(distinct.size() > 500);
    FractalDescription orange;
    orange.class_index = 5;
    orange.palette_name = "orange";
    orange.background_name = "black";
    orange.detail = "curling to the left";
    const auto captions = fractal_captions(orange, 0, 0);
    CHECK(captions[2].starts_with("an orange fern"));
    CHECK(captions[2].find(", curling to the left, ") != std::string::npos);
    CHECK(captions[2].ends_with(" a black background"));
}

// The sun's disc is warmer than anything else that is as bright.
TEST_CASE("fractal captions: mountains are under a sun where it can be seen") {
    constexpr int size = 32, mountains = 9;
    constexpr std::size_t plane = size * size;
    int right = 0, hidden = 0;
    for (std::uint64_t index = 0; index < 200; ++index) {
        const auto pixels = drawn(size, mountains, index, FractalColours::own);
        int bright = 0;
        for (std::size_t i = 0; i < plane; ++i)
            bright += pixels[i] >= 250 && pixels[plane + i] >= 240 && pixels[2 * plane + i] >= 205;
        const bool is_named = describe_fractal(mountains, 3, index).detail.starts_with("under a ");
        right += (bright >= 3) == is_named;
        hidden += !is_named;
    }
    CHECK(right >= 190);
    CHECK(hidden >= 1);
    CHECK(hidden <= 30);
}

TEST_CASE("fractal captions: every class lacks two palettes, and every palette two classes") {
    for (int i = 0; i < 10; ++i) {
        int of_class = 0, of_palette = 0;
        for (int k = 0; k < 10; ++k) {
            of_class += is_unseen_combination(i, k);
            of_palette += is_unseen_combination(k, i);
        }
        CHECK(of_class == 2);
        CHECK(of_palette == 2);
    }
}
