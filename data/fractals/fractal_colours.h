// What the built-in pictures are drawn in.
#pragma once

enum class FractalColours {
    own,  // the colours of the class
    any,  // one of the palettes of fractal_palettes.h for each picture; where there is a background, a plain one
};
