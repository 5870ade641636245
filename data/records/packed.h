// Packed images: a file of records (record_file.h) of pixels u8 [C, S, S], so that a training run never
// decodes an image. Its magic is "fractpak", its fields are
//
//     size          u32       S, the side of every image
//     channels      u32       C, 1 or 3
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/records/record_file.h"

constexpr int packed_maximum_size = 4096;

// Whether a file begins as packed files do.
bool is_packed_file(const std::filesystem::path& path);

// A read-only map of a packed file; checks and exceptions as in record_file.h.
class PackedFile {
  public:
    // Throws Error naming the file, the value found and the value expected.
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

    // Captions as in record_file.h.
    bool has_captions() const { return file_.has_captions(); }
    std::int64_t captions(std::int64_t i) const { return file_.captions(i); }
    std::string_view caption(std::int64_t i, std::int64_t k) const { return file_.caption(i, k); }
    std::int64_t first_caption(std::int64_t i) const { return file_.first_caption(i); }
    std::int64_t caption_count() const { return file_.caption_count(); }
    std::uint32_t caption_checksum() const { return file_.caption_checksum(); }

    // Reads the whole file; throws Error naming the first block that differs from its checksum.
    void verify() const { file_.verify(); }
    // Throws Error if the file's length has changed.
    void check_length() const { file_.check_length(); }
    std::uint32_t fingerprint() const { return file_.fingerprint(); }

  private:
    int size_ = 0, channels_ = 0;
    RecordFile file_;
};

// Of record i, as a writer takes them.
std::vector<std::string> captions_of(const PackedFile& file, std::int64_t i);

// Writes a packed file that appears at its destination only by commit().
class PackedWriter {
  public:
    // Throws Error if the destination cannot be written or size, channels or classes are out of range.
    PackedWriter(std::filesystem::path path, int size, int channels, std::vector<std::string> classes);
    // pixels [C, S, S]; label -1 or an index of classes; captions in UTF-8. Throws Error.
    void add(const std::uint8_t* pixels, int label, std::span<const std::string> captions = {}) {
        file_.add(pixels, label, captions);
    }
    std::int64_t count() const { return file_.count(); }
    // Writes all but the name under which the file appears: see RecordWriter.
    void finish() { file_.finish(); }
    // Finishes, if that was not done, and lets the file appear. Throws Error.
    void commit() { file_.commit(); }

  private:
    RecordWriter file_;
};
