// What a picture of the built-in data set shows, in words: captions for text to image, and the kind and
// palette that an evaluation asks for.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "data/fractals/fractal_colours.h"

struct FractalDescription {
    int class_index = 0;
    std::string kind;          // "Mandelbrot set"
    std::string palette_name;  // "red"; of the classes' own colours also "purple and orange", "many-coloured"
    std::string background_name;  // "black"; empty where the picture has no plain background
    std::string size_name;        // "small" or "large" within the range of the class; empty between them
    std::string detail;           // what else the composition determines, "with four basins"; may be empty
};

// Of the picture that draw_fractal() draws for the same arguments, at every size. Throws Error as it does.
FractalDescription describe_fractal(int class_index, std::uint64_t seed, std::uint64_t index,
                                    FractalColours colours = FractalColours::own);

// Three captions, from kind and palette alone to everything in the description; their wording is a function
// of the description and (seed, index).
std::array<std::string, 3> fractal_captions(const FractalDescription& description, std::uint64_t seed,
                                            std::uint64_t index);

// Of FractalColours::any: the names of the palettes, and which one a picture has, as an index of them.
constexpr int fractal_palette_count = 10;
std::string_view fractal_palette_name(int palette);
int fractal_palette(int class_index, std::uint64_t seed, std::uint64_t index);

// Combinations of class and palette that training leaves out, so that there are prompts of unseen ones: those
// whose numbers add up to a multiple of five. Of ten classes and ten palettes, every class lacks two palettes
// and every palette two classes.
constexpr bool is_unseen_combination(int class_index, int palette) {
    return (class_index + palette) % 5 == 0;
}
