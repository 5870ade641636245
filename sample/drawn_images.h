// What drawing jobs do with their images: a sheet, and the images one by one.
#pragma once

#include <cstdint>
#include <span>
#include <string>

// Images in a row of the sheet: one per class or, of a single one, about as many as rows.
std::int64_t sheet_columns(std::size_t distinct_classes, std::size_t images);

// images [n, channels, size, size], of `classes` [n] (-1: none), as a sheet into the file `out` and one by
// one, named by class, into the folder `each`; "" for either: not asked for. Throws Error.
void write_drawn_images(const std::string& out, const std::string& each, std::span<const std::uint8_t> images,
                        std::span<const std::int64_t> classes, std::int64_t channels, std::int64_t size,
                        std::int64_t columns);
