// The choices behind a picture of the built-in data set, and its painting.
#pragma once

#include "data/fractals/fractal_canvas.h"
#include "data/fractals/fractal_colours.h"
#include "data/fractals/fractal_scene.h"

// Paints picture `index` of a class, which must be one; returns what its painter noted. The canvas' size
// changes nothing in that.
FractalScene paint_fractal(Canvas& canvas, int class_index, std::uint64_t seed, std::uint64_t index,
                           FractalColours colours);

// Of fractal_palettes(), for FractalColours::any.
int choose_palette(int class_index, std::uint64_t seed, std::uint64_t index);

// Random numbers of a picture that have nothing to do with its drawing, for the choice of words.
PictureRandom wording_random(int class_index, std::uint64_t seed, std::uint64_t index);
