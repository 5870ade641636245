// Pictures that are to be kept without loss, with their names: a folder, a file or a packed file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/records/packed.h"

class ExactPictures {
  public:
    // Pictures [channels, size, size] of
    // - a folder: the JPEG and PNG files in it and the folders in it, in the order of files_below()
    //   (folder_files.h), by their names in it. Other files are passed over, but for those with the name of a
    //   picture, which are refused;
    // - a JPEG or PNG file;
    // - a packed file (packed.h), whose checksums are verified: its pictures have numbers in place of names.
    // Throws Error naming the file that is no picture, the picture of another size, or the packed file of other
    // pictures.
    ExactPictures(const std::filesystem::path& path, int size, int channels);

    std::int64_t count() const;
    // [count], empty where pictures are numbered: of a packed file, and where the names are 000000.png, ....
    const std::vector<std::string>& names() const { return names_; }
    // Pictures `first` to `first` + `count` - 1, planar [count, channels, size, size]. Throws Error for one that
    // read_exact_image() (data/images/exact_image.h) refuses.
    std::vector<std::uint8_t> read(std::int64_t first, std::int64_t count) const;

  private:
    void require_size(const std::filesystem::path& file, int width, int height) const;

    int size_, channels_;
    std::vector<std::filesystem::path> files_;
    std::vector<std::string> names_;
    std::optional<PackedFile> packed_;
};
