// Packed images: a file of records (record_file.h) of pixels u8 [C, S, S], so that a training run never
// decodes an image. Its magic is "fractpak", its fields are
//
//     size          u32       S, the side of every image
//     channels      u32       C, 1 or 3
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/records/record_file.h"

constexpr int packed_maximum_size = 4096;

// Whether a file begins as packed files do.
bool is_packed_file(const std::filesystem::path& path);

// A read-only map of a packed file; what is checked when, and what throws, says record_file.h.
class PackedFile {
  public:
    // Throws Error naming the file, what was found and what was expected.
    explicit PackedFile(const std::filesystem::path& path);

    const std::filesystem::path& path() const { return file_.path(); }
    int size() const { return size_; }
    int channels() const { return channels_; }
    std::int64_t count() const { return file_.count(); }
    std::int64_t record_bytes() const { return file_.record_bytes(); }
    const std::vector<std::string>& classes() const { return file_.classes(); }
    // [C, S, S]; 0 <= i < count().
    const std::uint8_t* pixels(std::int64_t i) const { return file_.record(i); }
    // The same mirrored left to right, into `mirrored` [C, S, S].
    void read_mirrored(std::int64_t i, std::uint8_t* mirrored) const;
    // -1 when the record has no label.
    int label(std::int64_t i) const { return file_.label(i); }

    // Reads the whole file; throws Error naming the first block that differs from its checksum.
    void verify() const { file_.verify(); }
    // Throws Error if the file's length is no longer what it was.
    void check_length() const { file_.check_length(); }
    std::uint32_t fingerprint() const { return file_.fingerprint(); }

  private:
    int size_ = 0, channels_ = 0;
    RecordFile file_;
};

// Writes a packed file that appears at its destination only by commit().
class PackedWriter {
  public:
    // Throws Error if the destination cannot be written or size, channels or classes are out of range.
    PackedWriter(std::filesystem::path path, int size, int channels, std::vector<std::string> classes);
    // pixels [C, S, S]; label -1 or an index of classes. Throws Error.
    void add(const std::uint8_t* pixels, int label) { file_.add(pixels, label); }
    std::int64_t count() const { return file_.count(); }
    // Writes all but the name under which the file appears: see RecordWriter.
    void finish() { file_.finish(); }
    // Finishes, if that was not done, and lets the file appear. Throws Error.
    void commit() { file_.commit(); }

  private:
    RecordWriter file_;
};
