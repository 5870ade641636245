// One painter per class: draws its own random parameters, fills the canvas, and notes the facts of the scene.
#pragma once

#include "data/fractals/fractal_canvas.h"
#include "data/fractals/fractal_scene.h"

// fractal_escape_time.cpp: orbits of points under repeated application of a map.
void paint_mandelbrot(Canvas& canvas, PictureRandom& random, FractalScene& scene);
void paint_julia(Canvas& canvas, PictureRandom& random, FractalScene& scene);
void paint_newton(Canvas& canvas, PictureRandom& random, FractalScene& scene);

// fractal_self_similar.cpp: shapes made of smaller copies of themselves.
void paint_sierpinski(Canvas& canvas, PictureRandom& random, FractalScene& scene);
void paint_fern(Canvas& canvas, PictureRandom& random, FractalScene& scene);
void paint_dragon(Canvas& canvas, PictureRandom& random, FractalScene& scene);
void paint_snowflake(Canvas& canvas, PictureRandom& random, FractalScene& scene);

// fractal_growth.cpp: shapes built by adding ever smaller parts.
void paint_gasket(Canvas& canvas, PictureRandom& random, FractalScene& scene);
void paint_tree(Canvas& canvas, PictureRandom& random, FractalScene& scene);
void paint_mountains(Canvas& canvas, PictureRandom& random, FractalScene& scene);
