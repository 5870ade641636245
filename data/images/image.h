// An image in memory.
#pragma once

#include <cstdint>
#include <vector>

struct Image {
    int width = 0, height = 0, channels = 0;
    std::vector<std::uint8_t> pixels;  // [height, width, channels], rows from the top
};
