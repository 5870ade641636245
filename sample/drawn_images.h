// Images requested of a sampling job, and their output: a sheet, and the images one by one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/live_line.h"
#include "sample/picture_outputs.h"

class CommandLine;

struct DrawnImagesFlags {
    std::vector<std::string> classes;
    std::int64_t first = 0, count = 0, batch = 64, columns = 0;
    PictureOutputs outputs;
};

// --classes, --first and --count.
void add_choice_flags(CommandLine& command, DrawnImagesFlags& flags);
// --batch, --columns, --out, and add_picture_folder_flags().
void add_output_flags(CommandLine& command, DrawnImagesFlags& flags, const std::string& steps);

struct DrawnImages {
    std::int64_t first = 0;             // number of the first image
    std::vector<std::int64_t> classes;  // of every image, -1: none
    std::int64_t batch, columns;        // images at once, and in a row of the sheet
    // Of a model of texts, whose classes these are: as many images of each, one text after the other.
    std::vector<std::string> texts = {};
};

// The requested classes in turn, by default the model's first ten. Throws UsageError if --out and --each are
// both missing, or a class is unknown.
DrawnImages choose_images(const DrawnImagesFlags& flags, std::int64_t class_num,
                          std::span<const std::string> names);
// The same for a model of texts: --count images of each, by default 8, numbered from --first on for each text. Throws
// UsageError as well for --classes.
DrawnImages choose_text_images(const DrawnImagesFlags& flags, std::vector<std::string> texts);
// A trace shows the images of one batch: throws UsageError if there are more.
void require_one_batch(const DrawnImages& drawn);

// Samples the images batch by batch and writes them according to the flags: each batch one by one, named by
// class or with its text beside it, as soon as it is complete, so that an interrupted job loses one batch; the sheet at the end. Shows a
// live line meanwhile.
class ImageDrawing {
  public:
    // Images [channels, size, size]. Throws UsageError if the sheet would be too large, and as PictureWriter
    // does, `inputs` being the files that the job reads.
    ImageDrawing(const DrawnImagesFlags& flags, const DrawnImages& drawn, std::span<const NamedPath> inputs,
                 std::int64_t channels, std::int64_t size);
    // `draw` returns a batch, [classes, channels, size, size]; the first of them has the number `first`, counted
    // through all texts. Throws Error.
    using DrawBatch =
        std::function<std::vector<std::uint8_t>(std::span<const std::int64_t> classes, std::int64_t first)>;
    void run(const DrawBatch& draw);
    // For `draw` to call: that many steps of the batch are done. Throws Error once interrupted().
    void step(std::int64_t done, std::int64_t steps);
    // Of drawing, writing included, but the sheet.
    double seconds() const;
    // Throws Error.
    void write_sheet() const;

  private:
    void add(std::span<const std::uint8_t> batch);

    const DrawnImagesFlags& flags_;
    const DrawnImages& drawn_;
    int channels_, size_;
    std::optional<PictureWriter> writer_;
    std::chrono::steady_clock::time_point start_, end_;
    std::int64_t first_ = 0, count_ = 0;  // of the batch that is being drawn, counted from 0
    std::vector<std::uint8_t> images_;    // for the sheet
    LiveLine line_;
};
