// JPEG and PNG files in, PNG files out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/images/image.h"

// Larger images are refused from their header, before memory is taken for them.
constexpr int maximum_image_side = 20'000;
constexpr std::int64_t maximum_image_pixels = std::int64_t{1} << 28;  // 1 GiB of RGBA, the decoder's limit

// Reads a JPEG or PNG file, recognised by its first bytes rather than its name, as 1 (grey), 2 (grey and
// alpha, 255 where the file has none) or 3 (RGB) channels. Otherwise alpha is dropped; 16-bit samples keep
// their upper byte, CMYK becomes RGB, and a colour beyond a PNG's palette is black. The image is as it lies
// in the file, whatever EXIF says of its orientation. Throws Error with the path and the reason: not an
// image, too large, truncated, what check_jpeg_segments refuses, or a PNG chunk that differs from its
// checksum.
Image read_image(const std::filesystem::path& path, int channels);

// The same with what EXIF says of it, 1 to 8 (data/images/orientation.h).
struct OrientedImage {
    Image image;
    int orientation = 1;
};
OrientedImage read_oriented_image(const std::filesystem::path& path, int channels);
// The same turned as viewers show it.
Image read_upright_image(const std::filesystem::path& path, int channels);

// Width and height as a JPEG or PNG file's header states them; nothing is decoded. Throws Error for faults that
// read_image() finds up to there.
struct ImageSides {
    int width = 0, height = 0;
    bool operator==(const ImageSides&) const = default;
};
ImageSides read_image_sides(const std::filesystem::path& path);

// Whether this is a file that can be opened and begins as a JPEG or PNG does.
bool starts_like_image(const std::filesystem::path& path);

// The image as models take it, [channels, height, width].
std::vector<std::uint8_t> planar_pixels(const Image& image);

// More, a byte before each row included, cannot be written: the encoder counts in 32 bits, and doubles.
constexpr std::int64_t maximum_png_bytes = std::int64_t{1} << 30;

// An 8-bit PNG file: rows filtered adaptively, compressed by zlib at its best. 1 or 3 channels. Throws Error,
// of pictures beyond maximum_png_bytes as well.
std::vector<std::uint8_t> encode_png(const Image& image);

// The same into a file, which appears whole or not at all. Throws Error.
void write_png(const std::filesystem::path& path, const Image& image);
