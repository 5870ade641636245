// Which images a drawing job is asked for, and what becomes of them: a sheet, and the images one by one.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// The number of a class that is asked for by number or by name; `names` by number, may be empty. Throws
// UsageError, naming `flag`, if the model has no such class.
std::int64_t class_number(std::string_view flag, const std::string& text, std::int64_t class_num,
                          std::span<const std::string> names);

struct DrawnImagesFlags {
    std::vector<std::string> classes;
    std::int64_t count = 0, batch = 64, columns = 0;
    std::string out, each;
};

// --classes and --count.
void add_choice_flags(CLI::App& command, DrawnImagesFlags& flags);
// --batch, --columns, --out and --each.
void add_output_flags(CLI::App& command, DrawnImagesFlags& flags);

struct DrawnImages {
    std::vector<std::int64_t> classes;  // of every image, -1: none
    std::int64_t batch, columns;        // images at once, and in a row of the sheet
};

// The asked classes in turn, by default the model's first ten. Throws UsageError if --out and --each are both
// missing, or a class is unknown.
DrawnImages choose_images(const DrawnImagesFlags& flags, std::int64_t class_num,
                          std::span<const std::string> names);
// A trace shows the images of one batch: throws UsageError if there are more.
void require_one_batch(const DrawnImages& drawn);

// images [n, channels, size, size] where the flags say, those one by one named by class. Throws Error.
void write_images(const DrawnImagesFlags& flags, const DrawnImages& drawn,
                  std::span<const std::uint8_t> images, std::int64_t channels, std::int64_t size);
// ": sheet.png, one by one in FOLDER", and the folder of a trace, if they were asked for.
std::string where_written(const DrawnImagesFlags& flags, const std::string& trace);
