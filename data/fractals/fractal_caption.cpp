#include "data/fractals/fractal_picture.h"

#include "data/fractals/fractal_caption.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/fractals/fractals.h"

namespace {

using Words = std::vector<std::string_view>;

// Names of what is drawn; the first one is the kind.
struct Kind {
    Words names;
    bool is_plural = false;
};

const std::array<Kind, fractal_classes>& kinds() {
    static const std::array<Kind, fractal_classes> all = {{
        {{"Mandelbrot set", "Mandelbrot fractal"}},
        {{"Julia set", "Julia fractal"}},
        {{"Newton fractal"}},
        {{"Sierpinski triangle", "Sierpinski fractal"}},
        {{"Apollonian gasket", "gasket of circles"}},
        {{"fern", "fern leaf"}},
        {{"snowflake", "Koch snowflake"}},
        {{"dragon curve", "Heighway dragon"}},
        {{"tree", "fractal tree"}},
        {{"mountains", "mountain ridges"}, true},
    }};
    return all;
}

constexpr std::string_view many_coloured = "many-coloured";  // as FractalScene calls it

// Labels of the classes whose captions differ in more than their kind.
enum Label { mandelbrot, julia, newton, sierpinski, gasket, fern, snowflake, dragon, tree, mountains };

// "a little above and left of the centre"; empty if it is nearer to the centre than `least`.
std::string place_words(Point place, float least) {
    const std::string_view vertical = place.y > least    ? "above"
                                      : place.y < -least ? "below"
                                                         : "",
                           horizontal = place.x > least    ? "right of"
                                        : place.x < -least ? "left of"
                                                           : "";
    if (vertical.empty() && horizontal.empty()) return "";
    return fmt::format("a little {}{}{} the centre", vertical,
                       !vertical.empty() && !horizontal.empty() ? " and " : "", horizontal);
}

std::string sun_words(Point sun) {
    const std::string_view height = sun.y > 0.5f ? "high " : sun.y < 0.35f ? "low " : "";
    const std::string_view side = sun.x > 0.25f    ? "on the right"
                                  : sun.x < -0.25f ? "on the left"
                                                   : "in the middle";
    return fmt::format("under a {}sun {}", height, side);
}

std::string detail_of(int class_index, const FractalFacts& facts) {
    switch (class_index) {
        case mandelbrot:
            if (std::fabs(facts.turns) < 0.03f) return "";
            return facts.turns > 0 ? "tilted counterclockwise" : "tilted clockwise";
        case newton:
            return fmt::format("with {} basins", facts.number == 3   ? "three"
                                                 : facts.number == 4 ? "four"
                                                                     : "five");
        case fern:
            return facts.side > 0 ? "curling to the right" : "curling to the left";
        case snowflake:
        case dragon:
            return place_words(facts.place, 0.045f);
        case mountains:
            return facts.is_hidden ? "" : sun_words(facts.place);
        default:
            return "";
    }
}

// Others fill the picture, or are of nearly one size.
bool varies_in_size(int class_index) {
    return class_index != newton && class_index != gasket && class_index != mountains && class_index != fern;
}

// The colours of a painted field, without its dark parts, which are behind the others to the eye.
std::string field_words(const Canvas& canvas, int size) {
    constexpr std::uint32_t least_light = 110;  // of the strongest channel
    const auto plane = static_cast<std::size_t>(size * size);
    std::vector<std::uint8_t> pixels(3 * plane);
    canvas.resolve(pixels.data());
    std::vector<std::uint32_t> colours;
    for (std::size_t i = 0; i < plane; ++i) {
        const std::array<std::uint32_t, 3> rgb{pixels[i], pixels[plane + i], pixels[2 * plane + i]};
        if (*std::ranges::max_element(rgb) >= least_light)
            colours.push_back(rgb[0] << 16 | rgb[1] << 8 | rgb[2]);
    }
    return colours.empty() ? "black" : palette_words(colours);
}

std::string with_article(const std::string& phrase, bool is_plural) {
    if (is_plural) return phrase;
    const bool vowel = std::string_view("aeiouAEIOU").find(phrase.front()) != std::string_view::npos;
    return (vowel ? "an " : "a ") + phrase;
}

// "a red fern", "a fern in red", "a tree with red leaves".
std::string subject(const FractalDescription& description, std::string_view size, std::string_view name,
                    bool colour_last) {
    const bool is_plural = kinds()[static_cast<std::size_t>(description.class_index)].is_plural;
    const std::string sized = size.empty() ? std::string(name) : fmt::format("{} {}", size, name);
    const std::string& palette = description.palette_name;
    if (description.class_index == tree)
        return fmt::format("{} with {} leaves", with_article(sized, is_plural), palette);
    if (colour_last)
        return fmt::format("{} in {}", with_article(sized, is_plural),
                           palette == many_coloured ? "many colours" : palette);
    const std::string coloured =
        size.empty() ? fmt::format("{} {}", palette, name) : fmt::format("{} {} {}", size, palette, name);
    return with_article(coloured, is_plural);
}

std::string ground_words(const FractalDescription& description, bool against) {
    if (description.class_index == tree) return against ? "on a green meadow" : "under a pale blue sky";
    if (description.background_name.empty()) return "";
    const std::string ground = description.background_name + " background";
    return (against ? "against " : "on ") + with_article(ground, false);
}

}  // namespace

FractalDescription describe_fractal(int class_index, std::uint64_t seed, std::uint64_t index,
                                    FractalColours colours) {
    require_fractal_class(class_index);
    constexpr int size = 24;
    Canvas canvas(size);
    const FractalScene scene = paint_fractal(canvas, class_index, seed, index, colours);
    FractalDescription description;
    description.class_index = class_index;
    description.kind = kinds()[static_cast<std::size_t>(class_index)].names.front();
    description.palette_name = scene.palette_name.empty() ? field_words(canvas, size) : scene.palette_name;
    description.background_name = scene.background_name;
    if (varies_in_size(class_index))
        description.size_name = scene.facts.extent < 0.25f   ? "small"
                                : scene.facts.extent > 0.75f ? "large"
                                                             : "";
    description.detail = detail_of(class_index, scene.facts);
    return description;
}

std::array<std::string, 3> fractal_captions(const FractalDescription& description, std::uint64_t seed,
                                            std::uint64_t index) {
    PictureRandom random = wording_random(description.class_index, seed, index);
    const Words& names = kinds()[static_cast<std::size_t>(description.class_index)].names;
    const auto name = [&] {
        return names[static_cast<std::size_t>(random.below(static_cast<int>(names.size())))];
    };
    constexpr std::array<std::string_view, 4> openings = {"", "a picture of ", "an image of ",
                                                          "a drawing of "};
    std::array<std::string, 3> captions;
    captions[0] = subject(description, "", name(), random.coin());

    const std::string_view opening = openings[static_cast<std::size_t>(random.below(openings.size()))];
    captions[1] = std::string(opening) + subject(description, "", name(), random.coin());
    if (const std::string ground = ground_words(description, random.coin()); !ground.empty())
        captions[1] += " " + ground;
    else if (!description.detail.empty())
        captions[1] += " " + description.detail;

    const std::string ground = ground_words(description, random.coin());
    captions[2] = subject(description, description.size_name, name(), false);
    if (!description.detail.empty()) captions[2] += ", " + description.detail;
    if (!ground.empty()) captions[2] += ", " + ground;
    return captions;
}

std::string_view fractal_palette_name(int palette) {
    return fractal_palettes()[static_cast<std::size_t>(palette)].name;
}

int fractal_palette(int class_index, std::uint64_t seed, std::uint64_t index) {
    require_fractal_class(class_index);
    return choose_palette(class_index, seed, index);
}
