// The centre crop of "Diffusion Models Beat GANs on Image Synthesis" (Dhariwal, Nichol 2021; their release is
// called ADM), which the fractal models' data uses: while the short side is at least 2S, halve the image with
// a box filter; bring the short side to S with a bicubic filter; cut S x S out of the middle.
//
// Byte for byte the result of the Python Imaging Library 10.4 (release 13 uses another order for images more
// than twice as tall as wide). Its resize differs from the textbook's in that
//   - the filter widens with the scale when shrinking (antialiasing), and is normalised at the borders,
//   - weights are integers with 22 fractional bits,
//   - columns are resized first, then rows, and the result is rounded to bytes after each.
#pragma once

#include "data/images/image_file.h"

// The same for a rectangle, which the release does not support: halve while both sides are at least twice the
// rectangle's; scale until the picture just covers it; crop the centre. [height, width, image.channels]; any
// image of at least one pixel, one of exactly width x height stays as it is. Memory beside the image: one of
// a quarter its size, and [its height, width]. Throws Error if the image is empty or width or height < 1.
Image crop_centre(const Image& image, int width, int height);

// [size, size, image.channels].
inline Image crop_centre(const Image& image, int size) {
    return crop_centre(image, size, size);
}

// MS-COCO's crop, as the U-ViT code (Bao et al. 2023) makes it: the square of the shorter side is cut out of
// the middle, offsets rounded down, and brought to `size` by a Lanczos filter in one go, as the Python
// Imaging Library does it. [size, size, image.channels]. Memory beside the image: the square, and [its side,
// size]. Throws Error if the image is empty or size < 1.
Image crop_square_lanczos(const Image& image, int size);

// Pixels [begin, end) of one side of an image.
struct PixelRange {
    int begin, end;
};

// Where the pixels of a crop come from: the image as if resized to resized_width x resized_height in one go,
// of which the crop's upper left pixel is (left, top).
struct CropGeometry {
    int source_width, source_height, resized_width, resized_height, left, top;

    // The image's columns that column x of the crop covers, also those that it covers in part. The bicubic
    // filter looks a little further than that.
    PixelRange columns(int x) const;
    // The image's rows that row y of the crop covers.
    PixelRange rows(int y) const;
};

// Of crop_centre() for an image of source_width x source_height. Throws Error as it does.
CropGeometry crop_geometry(int source_width, int source_height, int width, int height);
