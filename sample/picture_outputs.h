// Where the jobs that draw images write them: a sheet, the images one by one, the steps of drawing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "runtime/files/output_file.h"

class CommandLine;

struct PictureOutputs {
    std::string out, each, trace;  // the flags of these names, "": not given
    bool overwrite = false;

    // ": sheet.png, one by one in FOLDER, step by step in FOLDER": what was asked for.
    std::string where_written() const;
};

// --each, --trace, which shows `steps`, and --overwrite; --out is the job's own.
void add_picture_folder_flags(CommandLine& app, PictureOutputs& outputs, const std::string& steps);

// The number that a picture's name begins with, of --each (at least six digits) or of --trace (four or five),
// -1 for other names.
std::int64_t picture_number(const std::filesystem::path& name);

// The folder of --each while a job draws.
class PictureWriter {
  public:
    // Before a job draws the images `first` to first + count - 1: throws UsageError if an output is one of
    // `inputs`, lies in a folder with one (--each, --trace), or meets numbered pictures of an earlier call
    // without --overwrite; Error if --out cannot be written. Makes the folders after all of that.
    PictureWriter(const PictureOutputs& outputs, std::span<const NamedPath> inputs, std::int64_t first,
                  std::int64_t count);
    // images [suffixes, channels, size, size] as write_images() does, if --each was given; pictures of an
    // earlier call with the same numbers and other suffixes are removed after that. Throws Error.
    void write_each(std::int64_t first, std::span<const std::uint8_t> images, int channels, int size,
                    std::span<const std::string> suffixes) const;

  private:
    std::filesystem::path folder_;
    std::multimap<std::int64_t, std::filesystem::path> earlier_;  // names by number
};
