// Which part of a user's picture a model redoes, and the square canvas on which it does: geometry on the
// host, no model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "data/images/image_file.h"

// The flags of the same names; exactly one besides `picture` is given, the others are empty.
struct EditRequest {
    std::filesystem::path picture;
    // An image of the picture's size: redo where its luminance times its opacity is at least 128.
    std::filesystem::path mask;
    std::vector<int> box;       // x, y, width, height in pixels of the picture, (0, 0) at the upper left
    std::vector<int> outpaint;  // rows or columns to add north, east, south and west, in pixels of the canvas
    std::vector<int> uncrop;    // width, height in pixels of the canvas to shrink the picture to
};

// S is the side of the model's images, C its channels.
struct EditCanvas {
    Image picture;  // [S, S, C]; mid-grey where outpaint or uncrop leave nothing of the user's
    std::vector<std::uint8_t> mask;  // [S, S], 1: to be redone, 0: known
};

// Picture and mask are taken as viewers show them, each by its own EXIF orientation: all sizes and places are
// those of the picture shown.
//
// With a mask or a box the picture is brought to S x S by crop_centre(), and a pixel is redone if any of the
// picture's pixels that it covers is selected: no selected pixel counts as known, except for its contribution
// to the nearest known pixel by the resampling filter. With outpaint the picture is brought to the rectangle
// that the added borders leave of S x S, with uncrop to the given one in the middle, and the rest is redone.
// A picture of the wanted size stays byte for byte.
//
// Throws Error if a file cannot be read or the picture is smaller than the area it is to fill; UsageError
// naming the flag if none or several are given, if its numbers are out of range, the mask's size differs from
// the picture's, or nothing is left to redo.
EditCanvas make_edit_canvas(const EditRequest& request, int size, int channels);

// The original canvas, the canvas with a grey checkerboard where it is redone, and results [n, C, S, S], in
// rows of at most `columns`, laid out and enlarged as image_sheet() does. Throws std::logic_error if columns
// < 1 or results are no whole number of images.
Image edit_sheet(const EditCanvas& canvas, std::span<const std::uint8_t> results, int columns);
