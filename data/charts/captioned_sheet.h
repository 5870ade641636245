// A sheet of pictures with their captions under them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/images/image.h"

// pictures [n, C, size, size], C = 1 or 3, in rows of `columns`, each with its captions under it, captions
// [n][any], in a font of ASCII; RGB on white. Pictures below 192 pixels are enlarged by a whole factor.
// Captions are wrapped; "..." stands for what has no room. Throws UsageError if the sheet would be too large
// for a PNG file.
Image captioned_sheet(std::span<const std::uint8_t> pictures, int channels, int size, int columns,
                      std::span<const std::vector<std::string>> captions);

// Height of a row of such a sheet in pixels.
int captioned_sheet_pitch(int size);
