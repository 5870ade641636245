// Files of fixed-size records with a label each: the common format of packed images (packed.h) and tokens
// (tokens.h). A file is mapped into memory for random access, and every part of it has a checksum.
//
// Layout (little-endian, no gaps; header_bytes is a multiple of 64):
//
//     magic         8 bytes   says which kind of file it is
//     version       u32       1, or 2 with captions
//     header_bytes  u32       from the magic to the end of the header's checksum
//     fields        u32 [n]   what the records are, n as the kind says
//     count         u32       number of records
//     classes       u32       number of class names, then for each: u32 length, bytes
//     zeros, then   u32       CRC-32 of every header byte before
//     records       u8  [count, record bytes]
//     labels        i32 [count]                 index of the class name, -1: no label
//     checksums     u32 [ceil(count / 1024)]    CRC-32 of the records and then the labels of 1024 records
//     captions      u8  [to the end]            of version 2 alone: caption_table.h
//
// A file in which no record has a caption is of version 1.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/records/caption_table.h"
#include "data/records/checksum.h"
#include "runtime/files/atomic_file.h"
#include "runtime/files/mapped_file.h"

constexpr std::int64_t record_block = 1024;  // records under one checksum

struct RecordFormat {
    std::string_view magic;   // 8 bytes
    std::string_view name;    // "packed image file"
    std::string_view record;  // "image", of which the plural is with s
    std::size_t fields;       // n
};

// A read-only map of a file of records. Opening checks magic, version, header checksum, the file's length
// against the header, the range of every label and the place of every caption; verify() checks the rest. May
// be read by any number of threads.
class RecordFile {
  public:
    // Interprets the header's fields: returns the bytes of a record; throws Error for invalid fields.
    using Meaning = std::function<std::int64_t(std::span<const std::uint32_t> fields)>;

    // Throws Error naming the file, the value found and the value expected.
    RecordFile(const std::filesystem::path& path, const RecordFormat& format, const Meaning& meaning);

    const std::filesystem::path& path() const { return path_; }
    std::int64_t count() const { return count_; }
    std::int64_t record_bytes() const { return record_bytes_; }
    const std::vector<std::string>& classes() const { return classes_; }
    // 0 <= i < count().
    const std::uint8_t* record(std::int64_t i) const { return records_ + i * record_bytes_; }
    // A checksum of everything that is in it, from the checksums that it holds: equal for equal files.
    std::uint32_t fingerprint() const;
    // -1 when the record has no label.
    int label(std::int64_t i) const;

    // Whether any record has a caption.
    bool has_captions() const { return caption_count() > 0; }
    // Captions of record i.
    std::int64_t captions(std::int64_t i) const { return captions_.first(i + 1) - captions_.first(i); }
    // Caption k of record i, UTF-8; 0 <= k < captions(i).
    std::string_view caption(std::int64_t i, std::int64_t k) const {
        return captions_.text(captions_.first(i) + k);
    }
    // Captions are numbered through the file, record by record: the number of record i's first one, and their
    // count.
    std::int64_t first_caption(std::int64_t i) const { return captions_.first(i); }
    std::int64_t caption_count() const { return captions_.count(); }
    // Of all captions and of which record each belongs to: equal for a packed file and its tokens.
    std::uint32_t caption_checksum() const { return captions_.checksum(); }

    // Reads the whole file; throws Error naming the first block that differs from its checksum.
    void verify() const;
    // Throws Error if the file's length is no longer what it was.
    void check_length() const { file_.check_length(); }

  private:
    void parse_header(const RecordFormat& format, const Meaning& meaning);
    void parse_classes(std::size_t position, std::size_t end, std::uint32_t count);
    void check_labels() const;
    std::uint32_t block_checksum(std::int64_t block) const;

    std::filesystem::path path_;
    MappedFile file_;
    const std::uint8_t* bytes_ = nullptr;  // the whole file
    std::uint64_t file_bytes_ = 0;
    std::int64_t count_ = 0, record_bytes_ = 0;
    std::vector<std::string> classes_;
    const std::uint8_t *records_ = nullptr, *labels_ = nullptr, *checksums_ = nullptr;
    CaptionTable captions_;
};

// Writes a file of records that appears at its destination only by commit().
class RecordWriter {
  public:
    // Throws Error if the destination cannot be written or the class names are too long for a header.
    RecordWriter(std::filesystem::path path, const RecordFormat& format, std::vector<std::uint32_t> fields,
                 std::int64_t record_bytes, std::vector<std::string> classes);
    const std::filesystem::path& path() const { return path_; }
    // label -1 or an index of classes; captions in UTF-8. Throws Error.
    void add(const void* record, int label, std::span<const std::string> captions = {});
    std::int64_t count() const { return static_cast<std::int64_t>(labels_.size()); }
    // Writes all remaining parts, so that commit() only renames: with two files to write, a full disk is
    // detected before either appears. No record can be added afterwards. Throws Error, also if no record was
    // added.
    void finish();
    // Finishes, if that was not done, and lets the file appear. Throws Error.
    void commit();

  private:
    void flush();
    void close_block();

    std::filesystem::path path_;
    RecordFormat format_;
    AtomicFile file_;
    std::vector<std::uint32_t> fields_;
    std::size_t record_bytes_;
    std::vector<std::string> classes_;
    std::vector<std::uint8_t> pending_;  // records not yet written to the file
    std::vector<std::int32_t> labels_;
    std::vector<std::uint32_t> checksums_;
    CaptionTableWriter captions_;
    std::uint32_t running_checksum_ = 0;  // of the records of the open block
    bool finished_ = false;
};
