// Frames into an animation that browsers show: animated WebP, every frame lossless, repeated for ever.
#pragma once

#include <filesystem>
#include <span>

#include "data/images/image_file.h"

// Durations of frames, in milliseconds; browsers slow down durations below 20.
struct AnimationTiming {
    int frame = 100;
    int last_frame = 1500;
};

// Writes a file that appears whole or not at all. The frames are of one size, 1 or 3 channels each; a frame
// that equals the one before is not stored again, that one stays for the time of both. Small pictures:
// enlarge() of data/images/sheet.h first. Throws Error naming the path if it cannot be written or if the
// frames are larger than the format allows (16,383 pixels a side), std::logic_error if there is no frame, if
// their sizes differ, or if a time is not positive or all of them together exceed 2^31 - 1 milliseconds.
void write_animation(const std::filesystem::path& path, std::span<const Image> frames,
                     AnimationTiming timing = {});
