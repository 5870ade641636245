// A font of ours for what stands on a drawing: the 95 characters of ASCII, drawn with a pen.
#pragma once

#include <string_view>
#include <vector>

// In pixels from the upper left corner; pixel (i, j) covers [i, i + 1) x [j, j + 1).
struct Position {
    double x = 0, y = 0;
};

// A straight line of a pen, or a dot if it ends where it starts.
struct Stroke {
    Position from, to;
};

// Letters are 5 units wide at most and 6 high, what hangs below the baseline another 2; each takes 6 units of
// a line.
constexpr double letter_pitch = 6, letter_height = 6;

// The strokes of a line of text, in units; its first letter starts at x = 0, y = 0 is the baseline, y grows
// downwards. Characters beyond ASCII (UTF-8) become question marks.
std::vector<Stroke> text_strokes(std::string_view text);

// From the first letter's left edge to the last one's right edge, in units.
double text_width(std::string_view text);
