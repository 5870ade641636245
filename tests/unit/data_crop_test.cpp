#include "data/crop.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/safetensors.h"

TEST_CASE("crop: eight pictures byte for byte as PIL crops them") {
    const SafetensorsFile golden("tests/golden/crop.safetensors");
    for (int k = 0; k < 8; ++k) {
        CAPTURE(k);
        const std::string input = "input." + std::to_string(k), output = "crop." + std::to_string(k);
        const auto& shape = golden.entry(input).shape;
        const auto pixels = golden.bytes_u8(input);
        const Image image{
            static_cast<int>(shape[1]), static_cast<int>(shape[0]), 3, {pixels.begin(), pixels.end()}};
        const auto size = static_cast<int>(golden.entry(output).shape[0]);
        const Image cropped = crop_centre(image, size);
        CHECK(cropped.width == size);
        CHECK(cropped.height == size);
        CHECK(std::ranges::equal(cropped.pixels, golden.bytes_u8(output)));
    }
}
