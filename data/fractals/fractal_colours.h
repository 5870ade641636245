// What the built-in pictures are drawn in.
#pragma once

enum class FractalColours {
    own,  // the colours of the class
    any,  // one of the palettes of fractal_palettes.h, chosen for each picture, on a plain background if it has one
};
