// JPEG and PNG files, from a file in memory, as they are and with a PNG's checksums mended; valid images are
// cropped.
#include "data/images/crop.h"
#include "data/images/image_file.h"
#include "tests/fuzz/entry.h"
#include "tests/fuzz/mended_png.h"

namespace {

void read_all(std::span<const std::uint8_t> bytes) {
    const MemoryFile file(bytes);
    parse_rubbish([&] { read_image_sides(file.path()); });
    for (const int channels : {1, 2, 3})
        parse_rubbish([&] {
            const Image image = read_upright_image(file.path(), channels);
            require(image.width >= 1 && image.height >= 1 &&
                    image.pixels.size() == static_cast<std::size_t>(image.width) *
                                               static_cast<std::size_t>(image.height) *
                                               static_cast<std::size_t>(channels));
            if (channels == 2) return;
            const ImageSides sides = read_image_sides(file.path()), turned{sides.height, sides.width},
                             found{image.width, image.height};
            require(found == sides || found == turned);
            require(planar_pixels(crop_centre(image, 8)).size() == static_cast<std::size_t>(64 * channels));
            crop_centre(image, 3, 17);
        });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    read_all({bytes, size});
    if (size > 0 && bytes[0] == 0x89) read_all(mended_png({bytes, size}));
    return 0;
}
