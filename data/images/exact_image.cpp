#include "data/images/exact_image.h"

#include <array>
#include <fstream>

#include "data/images/orientation.h"
#include "data/images/png_chunks.h"
#include "runtime/base/error.h"

namespace {

// Bits of a sample in a PNG file, whose first chunk is IHDR (PNG specification, section 11.2.1); 8 of a JPEG.
int sample_bits(const std::filesystem::path& path) {
    constexpr std::size_t place = png_magic.size() + 4 + 4 + 8;  // behind length and type, width and height
    std::array<char, place + 1> start{};
    std::ifstream(path, std::ios::binary).read(start.data(), start.size());
    return static_cast<unsigned char>(start[0]) == png_magic[0] ? start[place] : 8;
}

}  // namespace

Image read_exact_image(const std::filesystem::path& path, int channels) {
    const std::string name = path.string();
    const auto [colour, orientation] = read_oriented_image(path, 3);
    if (sample_bits(path) > 8) fail("{}: 16 bits a sample, of which 8 would be lost", name);
    const Image with_alpha = read_image(path, 2);
    for (std::size_t i = 1; i < with_alpha.pixels.size(); i += 2)
        if (with_alpha.pixels[i] != 255)
            fail("{}: has transparent pixels, whose opacity would be lost", name);
    if (channels == 3) return upright(colour, orientation);
    Image grey{colour.width, colour.height, 1, {}};
    for (auto pixel = colour.pixels.begin(); pixel != colour.pixels.end(); pixel += 3) {
        if (pixel[0] != pixel[1] || pixel[0] != pixel[2]) fail("{}: has colours, the model is grey", name);
        grey.pixels.push_back(pixel[0]);
    }
    return upright(grey, orientation);
}
