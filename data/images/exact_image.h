// Reading of pictures that are to be kept without loss.
#pragma once

#include "data/images/image_file.h"

// The picture as viewers show it, in 1 (grey) or 3 (RGB) channels of 8 bits, if that is all of it. Throws Error
// as read_image() does, and for a picture that would lose something: 16-bit samples, transparent pixels, or
// colours where `channels` is 1. Metadata and colour profiles are not part of it.
Image read_exact_image(const std::filesystem::path& path, int channels);
