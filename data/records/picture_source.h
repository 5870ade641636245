// Pictures to be measured: a numbered set of one size, from a folder, a packed file or NumPy's .npz.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

// Pictures are RGB: grey is repeated, as the Python Imaging Library's convert("RGB") does; alpha is dropped.
// They are as they lie in their files, whatever EXIF says of their orientation, as after that library's open().
class PictureSource {
  public:
    virtual ~PictureSource() = default;
    PictureSource(const PictureSource&) = delete;
    PictureSource& operator=(const PictureSource&) = delete;

    // The path that was opened.
    const std::string& name() const { return name_; }
    std::int64_t count() const { return count_; }
    static constexpr int channels() { return 3; }
    int height() const { return height_; }
    int width() const { return width_; }
    // Bytes of one picture.
    std::int64_t picture_bytes() const { return std::int64_t{channels()} * height_ * width_; }

    // Pictures `first` to `first` + `count` - 1 into `planar` [count, 3, height, width]; throws Error if there
    // are fewer, or one cannot be read. Any number of threads may read; calls share their pictures among
    // the threads. Parts of a packed .npz should be read in their order.
    void read(std::int64_t first, std::int64_t count, std::span<std::uint8_t> planar) const;
    std::vector<std::uint8_t> read(std::int64_t first, std::int64_t count) const;

  protected:
    explicit PictureSource(const std::filesystem::path& path) : name_(path.string()) {}

    std::string name_;
    std::int64_t count_ = 0;
    int height_ = 0, width_ = 0;

  private:
    // first and count are within the pictures, `planar` has their size.
    virtual void read_planar(std::int64_t first, std::int64_t count, std::uint8_t* planar) const = 0;
};

// Opens one of these; throws Error naming the file and the fault.
//
// - A folder: all JPEG and PNG files in it and the folders in it, in the order of files_below()
//   (folder_files.h). Other files are passed over, but for those with the name of a picture (.png, .jpg, .webp,
//   ...), since a measure of the rest alone would be another one. The size of each is read from its header:
//   the first that differs is refused, with both names.
// - A packed file (packed.h) of 1 or 3 channels; its checksums are verified.
// - An .npz with pictures as the array arr_0, uint8 [N, height, width, 3] or [N, height, width, 1].
std::unique_ptr<PictureSource> open_pictures(const std::filesystem::path& path);
