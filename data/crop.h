// The centre crop of "Diffusion Models Beat GANs on Image Synthesis" (Dhariwal, Nichol 2021; their release is
// called ADM), which the fractal models' data uses: while the short side is at least 2S, halve the image with
// a box filter; bring the short side to S with a bicubic filter; cut S x S out of the middle.
//
// Byte for byte what the Python Imaging Library's release 10.4 computes (release 13 takes another order for
// images more than twice as tall as wide). Its resize differs from the textbook's in that
//   - the filter widens with the scale when shrinking (antialiasing), and is normalised at the borders,
//   - weights are integers with 22 fractional bits,
//   - columns are resized first, then rows, and the result is rounded to bytes after each.
#pragma once

#include "data/image_file.h"

// [size, size, image.channels]; any image of at least one pixel. Memory beside the image: one of a quarter
// its size, and [height, size]. Throws Error if the image is empty or size < 1.
Image crop_centre(const Image& image, int size);
