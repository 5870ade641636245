// Files of text features: what a text encoder makes of every caption of a data set, computed once. A file of records
// (record_file.h): the features of a caption, fp16 [length, width]; the captions in the order of the data set's file,
// the empty caption last. The magic is "fractext", the fields are
//
//     length        u32       features of a caption
//     width         u32
//     encoder       u32       fingerprint of the text encoder
//     captions      u32       checksum of the captions (RecordFile::caption_checksum)
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "data/records/record_file.h"

struct TextFeatureFormat {
    std::int64_t length = 0, width = 0;
    std::uint32_t encoder = 0, captions = 0;

    std::int64_t caption_values() const { return length * width; }
    bool operator==(const TextFeatureFormat&) const = default;
};

// Of a file of the features of so many captions and of the empty one, in bytes, within a kilobyte.
std::uint64_t text_feature_bytes(const TextFeatureFormat& format, std::int64_t captions);

bool is_text_feature_file(const std::filesystem::path& path);

// A read-only map; checks and exceptions as in record_file.h.
class TextFeatureFile {
  public:
    // Throws Error naming the file, the value found and the value expected.
    explicit TextFeatureFile(const std::filesystem::path& path);

    const std::filesystem::path& path() const { return file_.path(); }
    const TextFeatureFormat& format() const { return format_; }
    // Captions, without the empty one.
    std::int64_t count() const { return file_.count() - 1; }
    // The features of a caption, of -1 those of the empty one, fp32 [length, width].
    void read(std::int64_t caption, float* features) const;

    // Reads the whole file; throws Error naming the first block that differs from its checksum.
    void verify() const { file_.verify(); }
    // Throws Error unless the features are of the captions that have this checksum in `whose`.
    void require_captions(std::uint32_t checksum, std::string_view whose) const;

  private:
    TextFeatureFormat format_;
    RecordFile file_;
};

// Writes such a file, which appears at its destination only by commit().
class TextFeatureWriter {
  public:
    // Throws Error if the destination cannot be written or the format is out of range.
    TextFeatureWriter(std::filesystem::path path, const TextFeatureFormat& format);
    // Features of the next caption, of the last one the empty caption's: fp32 [length, width]. Throws Error, also for
    // a value that fp16 cannot hold.
    void add(std::span<const float> features);
    // Throws Error.
    void commit() { file_.commit(); }

  private:
    RecordWriter file_;
    std::vector<_Float16> record_;
};
