// A stroke font for text in drawings: the 95 printable characters of ASCII.
#pragma once

#include <string>
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

// Letters are at most 5 units wide and 6 high, descenders another 2; the advance is 6 units.
constexpr double letter_pitch = 6, letter_height = 6;

// The strokes of a line of text, in units; its first letter starts at x = 0, y = 0 is the baseline, y grows
// downwards. Characters beyond ASCII (UTF-8) become question marks.
std::vector<Stroke> text_strokes(std::string_view text);

// Lines of at most `width` units, broken at spaces and, where a word alone is wider, within it.
std::vector<std::string> wrapped_text(std::string_view text, double width);

// From the first letter's left edge to the last one's right edge, in units.
double text_width(std::string_view text);
