// Sheets of pictures drawn from texts: the text under the pictures of each.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "data/images/image_file.h"

// images [captions, n, C, size, size]: n of each caption in rows of `columns` (image_sheet), the caption under them in
// as many lines as it takes. RGB. Characters beyond ASCII are question marks. Throws UsageError for a sheet beyond a
// PNG file's limits.
Image prompt_sheet(std::span<const std::uint8_t> images, int channels, int size, int columns,
                   std::span<const std::string> captions);
