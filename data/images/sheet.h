// Sheets of images [C, size, size], for display.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "data/images/image_file.h"

// One image as it is.
Image interleaved_image(std::span<const std::uint8_t> image, int channels, int size);

// "000012SUFFIX.png".
std::string image_name(std::int64_t number, std::string_view suffix);

// images [n, C, size, size] one by one: FOLDER/000000SUFFIX.png, and so on from number `first`, `suffixes`
// [n]. Makes the folder. Throws Error.
void write_images(const std::filesystem::path& folder, std::int64_t first,
                  std::span<const std::uint8_t> images, int channels, int size,
                  std::span<const std::string> suffixes);

// Check before sampling: throws UsageError if a sheet of `count` images would exceed the limits of a PNG
// file.
void require_sheet(std::int64_t count, std::int64_t channels, std::int64_t size, std::int64_t columns);

// images [n, C, size, size] in rows of `columns`, or of n if that is less, on white, two pixels apart; images
// below 64 pixels are enlarged by a whole factor. Throws UsageError as require_sheet() does.
Image image_sheet(std::span<const std::uint8_t> images, int channels, int size, int columns);

// The whole factor by which a sheet enlarges images of that size, so that they can be seen.
int enlargement(int size);

// Every pixel as factor x factor pixels. Throws std::logic_error if factor < 1.
Image enlarge(const Image& image, int factor);

// Height and width of an image's place on a sheet in pixels, the distance to the next included.
int image_sheet_pitch(int size);
