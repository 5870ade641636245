// The orientation that EXIF says of a photograph: how a viewer turns what lies in the file (EXIF 2.32,
// section 4.6.4, tag 0x0112). 1: not at all; 2: mirrored left to right; 3: by 180 degrees; 4: mirrored top to
// bottom; 5: rows become columns; 6: by 90 degrees clockwise; 7: rows become columns, both from their ends;
// 8: by 90 degrees counter-clockwise.
#pragma once

#include <cstdint>
#include <span>

#include "data/images/image_file.h"

// Of a JPEG file (its first APP1 segment of EXIF) that check_jpeg_segments() lets pass, or a PNG file (chunk
// eXIf) that check_png_chunks() does. 1 as well if the file says nothing, or nothing sound.
int exif_orientation(std::span<const std::uint8_t> file);

// The image as a viewer shows it; 1 <= orientation <= 8.
Image upright(const Image& image, int orientation);
