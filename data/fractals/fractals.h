// The built-in data set: ten classes of coloured fractals, drawn on demand at any size, so that training,
// sampling and evaluation can be tried without downloading anything.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "data/fractals/fractal_colours.h"

constexpr int fractal_classes = 10;

// The names of the classes, in the order of their labels: single lower-case words.
const std::array<std::string_view, fractal_classes>& fractal_class_names();

// Throws Error unless 0 <= class_index < fractal_classes.
void require_fractal_class(int class_index);

// Draws picture `index` of a class into pixels [3, size, size]: 8-bit RGB, channel first, rows from the top.
//
// A pure function of its arguments, safe to call from any number of threads. The composition (pose,
// parameters) depends on (seed, class, index) alone, so the same index shows the same picture at every size,
// drawn finer, and the same shapes in all colours; the palette depends on (seed, class, index) and `colours`.
// Throws Error unless 1 <= size <= 1024 and 0 <= class_index < fractal_classes.
//
// The arithmetic is +, -, *, / and square roots only, never contracted to fused multiply-adds and never a
// call of the mathematics library, so every x86-64 machine draws the same bytes.
void draw_fractal(std::uint8_t* pixels, int size, int class_index, std::uint64_t seed, std::uint64_t index,
                  FractalColours colours = FractalColours::own);
