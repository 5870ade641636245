// What a painter chooses its colours from, and what it says of its picture, for captions.
#pragma once

#include "data/fractals/fractal_canvas.h"
#include "data/fractals/fractal_palettes.h"

// How a painter uses a gradient, from 0 to 1.
enum class GradientUse {
    field,      // the whole picture: far away first, near the set last
    shape,      // a shape on a background
    lines,      // the same, as thin as a pixel
    discs,      // the same, of discs, the largest ones first
    rings,      // five rings of a shape, which should differ from their neighbours
    landscape,  // top of the sky, horizon, then ridges from the farthest to the nearest
};

// Of the composition, as far as it can be seen; each in the range that its class has.
struct FractalFacts {
    float extent = 0.5f;     // size within the range of the class: 0 is the smallest, 1 the largest
    Point place;             // of the shape's middle, or of the sun, on the canvas
    bool is_hidden = false;  // whether what is at that place is covered for the most part
    float turns = 0;         // how far the picture is turned counterclockwise, in turns
    float side = 0;          // the side to which a fern curls: -1 is the left, 1 the right
    int number = 0;          // of basins
};

// The class's own colours, or a palette and a background of fractal_palettes.h in their stead. In both cases
// the same random numbers are drawn, so that the composition is the same.
class FractalScene {
  public:
    FractalScene() = default;
    FractalScene(const NamedPalette& palette, const Stops& background)
        : palette_(&palette), background_(&background) {}

    Gradient foreground(PictureRandom& random, std::span<const Stops> family, GradientUse use);
    // Of the plain ones, thin shapes have the black one: on white they fade.
    Gradient background(PictureRandom& random, std::span<const Stops> family, bool is_thin = false);
    // Of three to five basins, neighbours around a circle; own: their colours if they are the class's own.
    Stops basins(const Stops& own);

    FractalFacts facts;
    // In words. The palette is empty for a field in its class's own colours, of which the pixels decide what
    // is seen; the background is empty where there is none.
    std::string palette_name, background_name;

  private:
    const NamedPalette* palette_ = nullptr;
    const Stops* background_ = nullptr;
};
